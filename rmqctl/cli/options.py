"""Options that mean the same in every command, defined once.

A command annotates its parameters with these types and gives the default itself:

    def create(name: str, cluster: ClusterOption = None, json_output: JsonOption = False) -> None: ...
"""

from pathlib import Path
from typing import Annotated

import typer


def _said(text: str) -> str:
    """Refuse an empty value: it is nearly always an unset variable of a script, and must not mean another cluster."""
    if not text:
        raise typer.BadParameter("it is empty")
    return text


def _folder(text: str) -> Path:
    return Path(_said(text))


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="NAME", parser=_said, help="The local cluster that is meant, by the name of its home."
    ),
]

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        envvar="RMQCTL_HOME",
        parser=_folder,
        help="Folder that holds the homes of all clusters.",
    ),
]

NameserverOption = Annotated[
    str | None,
    typer.Option(
        "--nameserver",
        metavar="IP:PORT[;IP:PORT]",
        parser=_said,
        help="Nameservers of any RocketMQ cluster, local or not.",
    ),
]

TopicArgument = Annotated[str, typer.Argument(metavar="TOPIC", help="The name of the topic.", show_default=False)]

GroupArgument = Annotated[
    str, typer.Argument(metavar="GROUP", help="The name of the consumer group.", show_default=False)
]

RemapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--remap",
        metavar="ADVERTISED=REACHABLE",
        help="Reach a broker that advertises one address at another, as 172.17.0.2=127.0.0.1; may be repeated.",
    ),
]

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before destroying something.")]

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]

AcceptLossOption = Annotated[
    bool,
    typer.Option("--accept-loss", help="Start Apache's brokers also where they cut messages behind damage, this once."),
]

NoDrainOption = Annotated[
    bool, typer.Option("--no-drain", help="Do not let clients learn first that a master takes no more messages.")
]

EngineOption = Annotated[
    str | None, typer.Option("--engine", metavar="ENGINE", help="What all nodes run on: embedded or apache.")
]

VersionOption = Annotated[
    str | None, typer.Option("--version", metavar="VERSION", help="Of Apache RocketMQ, for the apache engine.")
]

RocketmqHomeOption = Annotated[
    Path | None,
    typer.Option(
        "--rocketmq-home", metavar="FOLDER", help="Unpacked distribution of Apache RocketMQ, for the apache engine."
    ),
]

TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait before giving up.")
]
