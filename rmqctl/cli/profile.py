"""`rmqctl profile list` and `rmqctl profile show`."""

from pathlib import Path
from typing import Annotated

import typer

from rmqctl.address import Candidate, check_broker_ip, detect_address
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption
from rmqctl.cli.output import print_json, print_result, print_table
from rmqctl.home import ClusterHome, homes_root
from rmqctl.profile.library import load_profile, profile_names
from rmqctl.profile.model import ClusterModel
from rmqctl.profile.resolve import Circumstances, resolve
from rmqctl.profile.settings import parse_set_options

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="[NODE:]KEY=VALUE",
        help="Set a broker.conf or nameserver.conf key, for all nodes, a group or one node. Repeatable.",
    ),
]
BrokerIpOption = Annotated[
    str | None, typer.Option("--broker-ip", metavar="ADDRESS", help="Address that clients are told (brokerIP1).")
]
PortOffsetOption = Annotated[
    int | None, typer.Option("--port-offset", metavar="N", help="Move all ports by N, a multiple of 100.")
]


def list_profiles(json_output: JsonOption = False) -> None:
    """List the profiles that come with rmqctl."""
    profiles = {name: load_profile(name).profile for name in profile_names()}
    if json_output:
        print_json([{"name": name, "description": profile.description} for name, profile in profiles.items()])
        return
    print_table(["profile", "what it is"], [[name, profile.description] for name, profile in profiles.items()])


def show(
    profile: Annotated[str, typer.Argument(metavar="NAME|PATH", help="Name or path of a profile.")],
    set_options: SetOption = None,
    broker_ip: BrokerIpOption = None,
    port_offset: PortOffsetOption = None,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show the nodes that a profile means on this machine, and where each of their settings comes from."""
    candidate = check_broker_ip(broker_ip) if broker_ip else detect_address()
    model = resolve_named(profile, candidate, set_options or [], port_offset or 0, cluster, home)
    if json_output:
        print_json(model)
        return
    for node in model.nodes:
        ports = ", ".join(f"{use} {port}" for use, port in node.ports.items())
        print_result(f"{node.name}  {node.role}  {ports}")
        for key, value in node.properties.items():
            source = node.sources[key]
            print_result(f"    {key}={value}" + ("" if source == "rmqctl" else f"    # {source}"))


def resolve_named(
    name_or_path: str,
    address: Candidate,
    set_options: list[str],
    port_offset: int,
    cluster: str | None,
    home: Path | None,
) -> ClusterModel:
    """Resolve a profile as `up` would in a new home."""
    named = load_profile(name_or_path)
    cluster_home = ClusterHome(homes_root(home), cluster or named.profile.cluster.name)
    return resolve(
        named.profile,
        Circumstances(
            folder=cluster_home.folder,
            cluster=cluster_home.name,
            source=named.source,
            broker_ip=address.address,
            broker_ip_reason=address.reason,
            port_offset=port_offset,
            settings=tuple(parse_set_options(set_options)),
        ),
    )
