"""Mirrors, credentials and proxies as Maven users set them."""

from pathlib import Path

import pytest

from rmqctl.engine.apache.maven_settings import CENTRAL_URL, central_repository
from rmqctl.errors import RmqctlError


def settings(tmp_path: Path, content: str, name: str = "settings.xml") -> Path:
    path = tmp_path / name
    path.write_text(f'<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0">{content}</settings>')
    return path


def mirror(of: str, url: str = "https://mirror.example/maven/", more: str = "") -> str:
    return f"<mirrors><mirror><id>m</id><mirrorOf>{of}</mirrorOf><url>{url}</url>{more}</mirror></mirrors>"


def test_without_settings_it_is_maven_central(tmp_path: Path) -> None:
    assert central_repository([tmp_path / "none.xml"]).url == CENTRAL_URL


@pytest.mark.parametrize("of", ["central", "*", "external:*", "snapshots, central", "*,!snapshots"])
def test_mirror_of_central_stands_in_for_it(tmp_path: Path, of: str) -> None:
    found = central_repository([settings(tmp_path, mirror(of))])
    assert (found.id, found.url) == ("m", "https://mirror.example/maven")


@pytest.mark.parametrize("of", ["snapshots", "external:http:*", "*,!central", ""])
def test_mirror_of_something_else_does_not(tmp_path: Path, of: str) -> None:
    assert central_repository([settings(tmp_path, mirror(of))]).url == CENTRAL_URL


def test_blocked_mirror_is_not_asked(tmp_path: Path) -> None:
    assert central_repository([settings(tmp_path, mirror("*", more="<blocked>true</blocked>"))]).url == CENTRAL_URL


def test_settings_of_the_user_come_before_those_of_the_installation(tmp_path: Path) -> None:
    own = settings(tmp_path, mirror("*", "https://own.example"), "own.xml")
    general = settings(tmp_path, mirror("*", "https://general.example"), "general.xml")
    assert central_repository([own, general]).url == "https://own.example"


def test_credentials_of_the_mirror_are_found_and_variables_replaced(tmp_path: Path) -> None:
    server = "<servers><server><id>m</id><username>me</username><password>${env.SECRET}</password></server></servers>"
    found = central_repository([settings(tmp_path, mirror("*") + server)], {"SECRET": "s3"})
    assert (found.username, found.password) == ("me", "s3")


@pytest.mark.parametrize(("not_for", "proxy"), [("*.example", None), ("other", "http://p.example:3128")])
def test_proxy_is_used_except_for_the_hosts_it_leaves_out(tmp_path: Path, not_for: str, proxy: str | None) -> None:
    proxies = (
        "<proxies><proxy><active>true</active><host>p.example</host><port>3128</port>"
        f"<nonProxyHosts>localhost|{not_for}</nonProxyHosts></proxy></proxies>"
    )
    assert central_repository([settings(tmp_path, mirror("*") + proxies)]).proxy == proxy


def test_damaged_settings_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.xml"
    path.write_text("<settings>")
    with pytest.raises(RmqctlError, match=r"settings\.xml"):
        central_repository([path])
