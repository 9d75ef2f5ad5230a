"""Addresses that a user gives: lists of nameservers, advertised to reachable addresses."""

import pytest

from rmqctl.client import InvalidArgument
from rmqctl.client.addresses import AddressMap, parse_nameservers, parse_remap


@pytest.mark.parametrize(
    "given",
    ["10.0.0.1:9876;host-b:9877", "10.0.0.1:9876, host-b:9877", ["10.0.0.1:9876", "host-b:9877"]],
)
def test_a_list_of_nameservers_is_read_in_every_usual_form(given: str | list[str]) -> None:
    assert parse_nameservers(given) == ("10.0.0.1:9876", "host-b:9877")


def test_a_nameserver_named_twice_counts_once() -> None:
    assert parse_nameservers("a:1;b:1;a:1") == ("a:1", "b:1")


@pytest.mark.parametrize(
    "given", ["", ";", [], "host", "host:", ":9876", "host:0", "host:65536", "a b:1", "http://a:1"]
)
def test_what_is_no_nameserver_is_refused(given: str | list[str]) -> None:
    with pytest.raises(InvalidArgument):
        parse_nameservers(given)


def test_an_advertised_host_is_reached_elsewhere_with_its_port_kept() -> None:
    remap = AddressMap({"172.17.0.2": "127.0.0.1"})
    assert remap.reachable("172.17.0.2:10911") == "127.0.0.1:10911"
    assert remap.reachable("172.17.0.3:10911") == "172.17.0.3:10911"


def test_an_entry_with_a_port_goes_before_one_without() -> None:
    remap = AddressMap({"172.17.0.2": "10.0.0.9", "172.17.0.2:10911": "127.0.0.1:20911", "b": "c:1"})
    assert remap.reachable("172.17.0.2:10911") == "127.0.0.1:20911"
    assert remap.reachable("172.17.0.2:10921") == "10.0.0.9:10921"
    assert remap.reachable("b:7") == "c:1"


def test_entries_of_the_command_line_are_read() -> None:
    assert parse_remap(["172.17.0.2=127.0.0.1", "[::1]:10911=h:1"]) == {"172.17.0.2": "127.0.0.1", "[::1]:10911": "h:1"}


@pytest.mark.parametrize("text", ["172.17.0.2", "=127.0.0.1", "a=", "a:x=b", "a=b:99999", "a=b=c"])
def test_an_entry_that_can_not_be_understood_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="remap"):
        parse_remap([text])
