"""Where artifacts of Maven Central come from, as Maven users set it: mirrors, credentials and proxies of settings.xml.

Source: Maven's settings reference (mirrorOf patterns, first match wins). Differs: encrypted passwords are not
understood, and repositories of profiles are not asked.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from rmqctl.errors import RmqctlError

CENTRAL_ID = "central"
CENTRAL_URL = "https://repo.maven.apache.org/maven2"

_REFERENCE = re.compile(r"\$\{(?P<name>[^}]+)\}")
_NAMESPACE = re.compile(r"\{.*\}")


class RemoteRepository(NamedTuple):
    """A Maven repository and how to reach it."""

    id: str
    url: str
    username: str | None = None
    password: str | None = None
    proxy: str | None = None
    """`http://host:port` for both protocols; None leaves it to the environment (HTTPS_PROXY …)."""


def settings_files(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The user's settings.xml, then that of the Maven installation which the environment names."""
    files = [Path.home() / ".m2" / "settings.xml"]
    homes = (environment.get(name) for name in ("MAVEN_HOME", "M2_HOME"))
    return files + [Path(home) / "conf" / "settings.xml" for home in homes if home]


def central_repository(files: Iterable[Path], environment: Mapping[str, str] = os.environ) -> RemoteRepository:
    """Maven Central, or the mirror that stands in for it.

    Raises:
        RmqctlError: A settings file cannot be read.
    """
    documents = [_read(path, environment) for path in files if path.is_file()]
    mirrors = [mirror for document in documents for mirror in document.iterfind("mirrors/mirror")]
    chosen = next((mirror for mirror in mirrors if _stands_in_for_central(mirror)), None)
    if chosen is None:
        repository = RemoteRepository(CENTRAL_ID, CENTRAL_URL)
    else:
        repository = RemoteRepository(_text(chosen, "id"), _text(chosen, "url").rstrip("/"))
    for document in documents:
        repository = _with_credentials(repository, document)
        repository = _with_proxy(repository, document)
    return repository


def _read(path: Path, environment: Mapping[str, str]) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except (OSError, ElementTree.ParseError) as error:
        raise RmqctlError(f"cannot read Maven's settings in {path}", str(error), "correct the file") from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = _NAMESPACE.sub("", element.tag)
        if element.text:
            element.text = _REFERENCE.sub(lambda match: _referred(match["name"], environment), element.text)
    return root


def _referred(name: str, environment: Mapping[str, str]) -> str:
    if name == "user.home":
        return str(Path.home())
    return environment.get(name.removeprefix("env."), "")


def _stands_in_for_central(mirror: ElementTree.Element) -> bool:
    patterns = [pattern.strip() for pattern in _text(mirror, "mirrorOf").split(",")]
    if f"!{CENTRAL_ID}" in patterns or _text(mirror, "blocked") == "true" or not _text(mirror, "url"):
        return False
    return bool({CENTRAL_ID, "*", "external:*"}.intersection(patterns))


def _with_credentials(repository: RemoteRepository, document: ElementTree.Element) -> RemoteRepository:
    for server in document.iterfind("servers/server"):
        if _text(server, "id") == repository.id and _text(server, "username"):
            return repository._replace(username=_text(server, "username"), password=_text(server, "password"))
    return repository


def _with_proxy(repository: RemoteRepository, document: ElementTree.Element) -> RemoteRepository:
    host = repository.url.partition("://")[2].partition("/")[0].partition(":")[0]
    for proxy in document.iterfind("proxies/proxy"):
        not_for = [_pattern(each) for each in _text(proxy, "nonProxyHosts").split("|") if each]
        if _text(proxy, "active") in ("", "true") and not any(each.fullmatch(host) for each in not_for):
            name, password = _text(proxy, "username"), _text(proxy, "password")
            user = f"{name}:{password}@" if name else ""
            return repository._replace(proxy=f"http://{user}{_text(proxy, 'host')}:{_text(proxy, 'port') or 8080}")
    return repository


def _pattern(host: str) -> re.Pattern[str]:
    return re.compile(re.escape(host.strip()).replace(r"\*", ".*"))


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
