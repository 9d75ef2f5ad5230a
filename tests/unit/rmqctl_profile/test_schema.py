"""Profiles: what is accepted, and errors that name file, key path, expected and found."""

import pytest

from rmqctl.errors import ExitCode
from rmqctl.profile.library import load_profile, profile_names
from rmqctl.profile.schema import ProfileError, parse_profile

BROKER = '[[brokers]]\nname = "broker-a"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[nameservers]\ncont = 2\n" + BROKER, "p.toml: nameservers.cont: unknown key"),
        ("[nameserver]\ncount = 2\n" + BROKER, "p.toml: nameserver: unknown key"),
        ('[nameservers]\ncount = "2"\n' + BROKER, "p.toml: nameservers.count: expected int, found '2' (text)"),
        ("[nameservers]\ncount = 0\n" + BROKER, "p.toml: nameservers.count: expected int >= 1, found 0 (a number)"),
        ("[[brokers]]\nname = 1\n", "p.toml: brokers[0].name: expected str, found 1 (a number)"),
        ("[[brokers]]\nslaves = 1\n", "p.toml: brokers[0].name: expected a value, found none"),
        ("brokers = 1\n", "p.toml: brokers: expected array, found 1 (a number)"),
        ("[nameservers]\ncount = 1\n", "p.toml: brokers: expected at least one [[brokers]], found none"),
        (BROKER + BROKER, "p.toml: brokers[1].name: 'broker-a' is also the name of brokers[0]"),
        (
            BROKER + "[properties.masters]\nlistenPort = [1]\n",
            "p.toml: properties.masters.listenPort: expected text, a number, true or false, found an array",
        ),
        (
            BROKER + "[properties.nodes.broker-a-0]\nlistenPort = {}\n",
            "p.toml: properties.nodes.broker-a-0.listenPort: expected text, a number, true or false, found a table",
        ),
    ],
)
def test_error_names_file_key_path_expected_and_found(text: str, expected: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(text.encode(), "p.toml")
    assert caught.value.what == expected
    assert caught.value.exit_code is ExitCode.USAGE


def test_syntax_error_names_the_line() -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(b"[cluster]\nname = \n", "p.toml")
    assert caught.value.what == "p.toml is not valid TOML"
    assert "line 2" in str(caught.value.why)


def test_bytes_that_are_not_utf8_are_an_error_and_not_a_traceback() -> None:
    with pytest.raises(ProfileError, match="not valid TOML"):
        parse_profile(b'description = "\xff"', "p.toml")


def test_misspelt_key_gets_the_nearest_known_one() -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile((BROKER + "slave = 1\n").encode(), "p.toml")
    assert caught.value.cure == "did you mean 'slaves'?"


def test_unknown_profile_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(ProfileError) as caught:
        load_profile("2m2s")
    assert "2m-2s-sync" in str(caught.value.why)
    assert caught.value.cure == "--profile 2m-2s"


def test_profiles_that_come_with_rmqctl_have_the_promised_names_and_are_valid() -> None:
    assert profile_names() == ["1m-1s", "2m-2s", "2m-2s-sync", "2m-noslave", "single"]
    for name in profile_names():
        assert load_profile(name).profile.description
