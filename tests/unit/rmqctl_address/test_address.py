"""Which address clients are told: the order of the candidates and their reasons."""

import pytest

from rmqctl.address import Interface, check_broker_ip, is_local_address, list_interfaces, rank_candidates
from rmqctl.errors import UsageError

LOOPBACK = Interface("lo", "127.0.0.1")
LAN = Interface("eth0", "192.168.1.10")
SECOND_LAN = Interface("eth1", "10.20.0.4")
DOCKER = Interface("docker0", "172.17.0.1")
COMPOSE = Interface("br-5a1b", "172.18.0.1")
VPN = Interface("tun0", "10.8.0.6")


def addresses(interfaces: list[Interface], route: str | None) -> list[str]:
    return [candidate.address for candidate in rank_candidates(interfaces, route)]


def test_route_to_the_outside_comes_first() -> None:
    assert addresses([LOOPBACK, LAN, SECOND_LAN], "10.20.0.4") == ["10.20.0.4", "192.168.1.10"]


def test_container_bridges_and_vpn_links_come_last() -> None:
    interfaces = [LOOPBACK, DOCKER, COMPOSE, VPN, LAN]
    assert addresses(interfaces, "192.168.1.10") == ["192.168.1.10", "10.8.0.6", "172.17.0.1", "172.18.0.1"]


@pytest.mark.parametrize("route", [VPN, DOCKER])
def test_vpn_link_or_bridge_that_is_the_route_still_comes_after_ordinary_interfaces(route: Interface) -> None:
    assert addresses([DOCKER, VPN, LAN], route.address)[0] == "192.168.1.10"


@pytest.mark.parametrize(
    "name",
    ["docker0", "br-0", "veth1a", "virbr0", "cni0", "flannel.1", "tun0", "tap1", "wg0", "utun3", "ppp0", "tailscale0"],
)
def test_link_of_this_name_ranks_below_a_second_lan(name: str) -> None:
    assert addresses([Interface(name, "10.0.0.1"), SECOND_LAN], "10.0.0.1") == ["10.20.0.4", "10.0.0.1"]


def test_bridge_is_taken_when_there_is_nothing_better_than_loopback() -> None:
    assert addresses([LOOPBACK, DOCKER], None) == ["172.17.0.1"]


@pytest.mark.parametrize("interfaces", [[], [LOOPBACK], [LOOPBACK, Interface("eth0", "169.254.3.4")]])
def test_loopback_is_taken_when_there_is_nothing_else(interfaces: list[Interface]) -> None:
    (candidate,) = rank_candidates(interfaces, None)
    assert candidate.address == "127.0.0.1"
    assert "no other address" in candidate.reason


def test_every_candidate_has_its_reason() -> None:
    reasons = {each.address: each.reason for each in rank_candidates([LAN, DOCKER, VPN], "192.168.1.10")}
    assert reasons["192.168.1.10"] == "route to the outside, over eth0"
    assert "docker0 is a container bridge" in reasons["172.17.0.1"]
    assert "tun0 is a VPN link" in reasons["10.8.0.6"]


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0", "10.0.0.256", "0.0.0.0", "224.0.0.1", "::1", "10.0.0.1 "])
def test_broker_ip_that_no_client_could_connect_to_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--broker-ip"):
        check_broker_ip(text)


def test_this_machine_has_loopback_and_not_a_documentation_address() -> None:
    assert "127.0.0.1" in [interface.address for interface in list_interfaces()]
    assert is_local_address("127.0.0.1")
    assert not is_local_address("203.0.113.7")
