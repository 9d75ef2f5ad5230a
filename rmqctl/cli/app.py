"""The `rmqctl` command: the table of its commands, and the edge where errors become exit codes.

A command's module is imported only when that command is called, so `--version` and `--help` stay fast and a command
pays for nothing but itself. Add a command by adding a line to `COMMANDS`.
"""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import typer
import typer.core

from rmqctl import __version__
from rmqctl.cli.output import forget_stdout, narrate, print_error, print_json_error
from rmqctl.errors import ExitCode, RmqctlError


class CommandEntry(NamedTuple):
    """Where a command lives (`module:function`) and its line in `--help`."""

    target: str
    help: str


class GroupEntry(NamedTuple):
    """A noun with its verbs."""

    commands: Mapping[str, CommandEntry]
    help: str


COMMANDS: Mapping[str, CommandEntry | GroupEntry] = {
    "up": CommandEntry("rmqctl.cli.up:up", "Bring a cluster up, or say that it is up."),
    "down": CommandEntry("rmqctl.cli.down:down", "Take a cluster down, in order."),
    "status": CommandEntry("rmqctl.cli.status:status", "Show the nodes of a cluster."),
    "scale": CommandEntry("rmqctl.cli.scale:scale", "Add or remove nodes of a running cluster."),
    "wait": CommandEntry("rmqctl.cli.wait:wait", "Wait until a cluster serves."),
    "start": CommandEntry("rmqctl.cli.node:start", "Start single nodes."),
    "stop": CommandEntry("rmqctl.cli.node:stop", "Stop single nodes; they stay stopped."),
    "restart": CommandEntry("rmqctl.cli.node:restart", "Restart nodes, one after the other."),
    "kill": CommandEntry("rmqctl.cli.node:kill", "Kill nodes, as a crash would."),
    "logs": CommandEntry("rmqctl.cli.logs:logs", "Show what the nodes of a cluster wrote."),
    "events": CommandEntry("rmqctl.cli.events:events", "Show what happened to a cluster: starts, exits, who asked."),
    "topic": GroupEntry(
        {
            "create": CommandEntry("rmqctl.cli.topic:create", "Create a topic, or change its queues."),
            "list": CommandEntry("rmqctl.cli.topic:list_topics", "List the topics of a cluster."),
            "route": CommandEntry("rmqctl.cli.topic:route", "Show which brokers serve a topic."),
            "describe": CommandEntry("rmqctl.cli.topic:describe", "Show the queues of a topic and their offsets."),
            "delete": CommandEntry("rmqctl.cli.topic:delete", "Delete a topic from brokers and nameservers."),
        },
        "Create, inspect and delete topics.",
    ),
    "send": CommandEntry("rmqctl.cli.send:send", "Send a message."),
    "tail": CommandEntry("rmqctl.cli.tail:tail", "Print the messages of a topic as they arrive."),
    "message": GroupEntry(
        {
            "get": CommandEntry("rmqctl.cli.message:get", "Find a message by id, key, or queue and offset."),
            "resend": CommandEntry("rmqctl.cli.message:resend", "Have a consumer group consume a message again."),
            "trace": CommandEntry("rmqctl.cli.message:trace", "Show who sent and who consumed a message, and when."),
        },
        "Find single messages, and what became of them.",
    ),
    "group": GroupEntry(
        {
            "list": CommandEntry("rmqctl.cli.group:list_groups", "List the consumer groups of a cluster."),
            "describe": CommandEntry("rmqctl.cli.group_state:describe", "Show a group, its members and subscriptions."),
            "lag": CommandEntry("rmqctl.cli.group_state:lag", "Show how many messages groups have yet to consume."),
            "reset-offset": CommandEntry("rmqctl.cli.group_reset:reset_offset", "Move a group to other offsets."),
            "create": CommandEntry("rmqctl.cli.group:create", "Create a group, or change its configuration."),
            "delete": CommandEntry("rmqctl.cli.group:delete", "Delete a group from its brokers."),
        },
        "Consumer groups: members, lag, offsets.",
    ),
    "store": GroupEntry(
        {
            "inspect": CommandEntry("rmqctl.cli.store:inspect", "Look into a store directory."),
            "verify": CommandEntry("rmqctl.cli.store:verify", "Check a store directory, and repair it."),
        },
        "Look into store directories of either engine, without a broker.",
    ),
    "profile": GroupEntry(
        {
            "list": CommandEntry("rmqctl.cli.profile:list_profiles", "List the profiles that come with rmqctl."),
            "show": CommandEntry("rmqctl.cli.profile:show", "Show the nodes and settings that a profile means."),
        },
        "List and show profiles.",
    ),
    "engine": GroupEntry(
        {
            "list": CommandEntry("rmqctl.cli.engine:list_engines", "List what nodes can run on."),
            "install": CommandEntry("rmqctl.cli.engine:install", "Fetch a version of Apache RocketMQ."),
            "remove": CommandEntry("rmqctl.cli.engine:remove", "Delete a version of Apache RocketMQ."),
        },
        "What nodes run on: our own, or Apache's Java nodes.",
    ),
    "conf": GroupEntry(
        {"show": CommandEntry("rmqctl.cli.conf:show", "Print the configuration file of a node.")},
        "Show the configuration of nodes.",
    ),
    "systemd": GroupEntry(
        {
            "install": CommandEntry("rmqctl.cli.systemd:install", "Let systemd run a cluster."),
            "uninstall": CommandEntry("rmqctl.cli.systemd:uninstall", "Take a cluster's units away."),
            "print": CommandEntry("rmqctl.cli.systemd:print_units", "Print the units, and change nothing."),
        },
        "Clusters that systemd starts at boot and keeps running.",
    ),
    "address": CommandEntry("rmqctl.cli.address:address", "Show which address clients will be told, and why."),
    "completion": CommandEntry("rmqctl.cli.completion:completion", "Print what teaches a shell to complete words."),
}
"""Every command of rmqctl, in the order in which `--help` lists them."""


class LazyGroup(typer.core.TyperGroup):
    """A group that knows its commands by a table and imports a command's module when it is called."""

    table: Mapping[str, CommandEntry | GroupEntry] = COMMANDS

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, its module freshly imported; None when there is none."""
        entry = self.table.get(cmd_name)
        if entry is None:
            return None
        if isinstance(entry, GroupEntry):
            return _build_group(cmd_name, entry)
        return build_command(cmd_name, entry)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands from the table: help needs none of their modules."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.table.items()])


def run(arguments: Sequence[str], supervisor: object = None) -> int:
    """Run one command line; returns the exit status. Errors of users never become tracebacks.

    Args:
        arguments: Without the name of the program.
        supervisor: For `up`: the `EarlySupervisor` that waits for its plan.
    """
    try:
        outcome = _build_root().main(
            list(arguments) or ["--help"], prog_name="rmqctl", standalone_mode=False, obj=supervisor
        )
        sys.stdout.flush()
        return int(outcome or ExitCode.DONE)
    except RmqctlError as error:
        return _report(error, arguments)
    except typer.TyperException as error:
        return _report(_usage_error(error), arguments)
    except (KeyboardInterrupt, typer.Abort):
        narrate("rmqctl: interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        forget_stdout()
        return ExitCode.DONE
    except Exception as error:
        if os.environ.get("RMQCTL_DEBUG"):
            raise
        defect = RmqctlError(
            f"{type(error).__name__}: {error}",
            "this is a defect of rmqctl, not of your input",
            "run it again with RMQCTL_DEBUG=1 and report what it prints",
        )
        return _report(defect, arguments)


def _report(error: RmqctlError, arguments: Sequence[str]) -> int:
    """Tell the error to the person, and to the program that asked for JSON; returns the exit status."""
    print_error(error)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in options:
        print_json_error(error)
    return error.exit_code


def _print_version(asked: bool) -> None:
    if asked:
        print(f"rmqctl {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run a whole Apache RocketMQ cluster on one command: no Docker, no Java."""


def _build_root() -> Any:
    app = typer.Typer(cls=LazyGroup, add_completion=False, rich_markup_mode=None)
    app.callback()(_root)
    return typer.main.get_command(app)


def _build_group(name: str, entry: GroupEntry) -> Any:
    group = LazyGroup(name=name, help=entry.help, rich_markup_mode=None)
    group.table = entry.commands
    return group


def build_command(name: str, entry: CommandEntry) -> Any:
    """Return a command, its module freshly imported."""
    module, _, function = entry.target.partition(":")
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name)(getattr(importlib.import_module(module), function))
    return typer.main.get_command(app)


def _usage_error(error: typer.TyperException) -> RmqctlError:
    context = getattr(error, "ctx", None)
    command_path = context.command_path if context is not None else "rmqctl"
    return RmqctlError(error.format_message().rstrip("."), cure=f"{command_path} --help", exit_code=ExitCode.USAGE)
