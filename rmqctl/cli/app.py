"""The `rmqctl` command: the table of its commands, and the edge where errors become exit codes.

A command's module is imported only when that command is called, so `--version` and `--help` stay fast and a command
pays for nothing but itself. Add a command by adding a line to `COMMANDS`.
"""

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import typer
import typer.core

from rmqctl import __version__
from rmqctl.cli.output import forget_stdout, narrate, print_error, print_json_error
from rmqctl.errors import ExitCode, RmqctlError
from rmqctl.streams import endure, failure_of


class CommandEntry(NamedTuple):
    """Where a command lives (`module:function`, the module below `rmqctl.cli`) and its line in `--help`."""

    target: str
    help: str
    changes: bool = False
    """It changes something, so it goes on when nobody reads what it says; others end."""


class GroupEntry(NamedTuple):
    """A noun with its verbs."""

    commands: Mapping[str, CommandEntry]
    help: str


COMMANDS: Mapping[str, CommandEntry | GroupEntry] = {
    "up": CommandEntry("cluster.up:up", "Bring a cluster up, or say that it is up.", changes=True),
    "down": CommandEntry("cluster.down:down", "Take a cluster down, in order.", changes=True),
    "status": CommandEntry("cluster.status:status", "Show the nodes of a cluster."),
    "scale": CommandEntry("cluster.scale:scale", "Add or remove nodes of a running cluster.", changes=True),
    "wait": CommandEntry("cluster.wait:wait", "Wait until a cluster serves."),
    "start": CommandEntry("nodes.start_stop:start", "Start single nodes.", changes=True),
    "stop": CommandEntry("nodes.start_stop:stop", "Stop single nodes; they stay stopped.", changes=True),
    "restart": CommandEntry("nodes.start_stop:restart", "Restart nodes, one after the other.", changes=True),
    "kill": CommandEntry("nodes.start_stop:kill", "Kill nodes, as a crash would.", changes=True),
    "logs": CommandEntry("nodes.logs:logs", "Show what the nodes of a cluster wrote."),
    "events": CommandEntry("nodes.events:events", "Show what happened to a cluster: starts, exits, who asked."),
    "topic": GroupEntry(
        {
            "create": CommandEntry("topics.manage:create", "Create a topic, or change its queues.", changes=True),
            "list": CommandEntry("topics.manage:list_topics", "List the topics of a cluster."),
            "route": CommandEntry("topics.state:route", "Show which brokers serve a topic."),
            "describe": CommandEntry("topics.state:describe", "Show the queues of a topic and their offsets."),
            "delete": CommandEntry(
                "topics.manage:delete", "Delete a topic from brokers and nameservers.", changes=True
            ),
        },
        "Create, inspect and delete topics.",
    ),
    "send": CommandEntry("messages.send.command:send", "Send a message.", changes=True),
    "tail": CommandEntry("messages.tail.command:tail", "Print the messages of a topic as they arrive."),
    "message": GroupEntry(
        {
            "get": CommandEntry("messages.lookup.command:get", "Find a message by id, key, or queue and offset."),
            "resend": CommandEntry(
                "messages.lookup.command:resend", "Have a consumer group consume a message again.", changes=True
            ),
            "trace": CommandEntry(
                "messages.lookup.command:trace", "Show who sent and who consumed a message, and when."
            ),
        },
        "Find single messages, and what became of them.",
    ),
    "group": GroupEntry(
        {
            "list": CommandEntry("groups.manage:list_groups", "List the consumer groups of a cluster."),
            "describe": CommandEntry("groups.state:describe", "Show a group, its members and subscriptions."),
            "lag": CommandEntry("groups.state:lag", "Show how many messages groups have yet to consume."),
            "reset-offset": CommandEntry(
                "groups.reset_offset:reset_offset", "Move a group to other offsets.", changes=True
            ),
            "create": CommandEntry(
                "groups.manage:create", "Create a group, or change its configuration.", changes=True
            ),
            "delete": CommandEntry("groups.manage:delete", "Delete a group from its brokers.", changes=True),
        },
        "Consumer groups: members, lag, offsets.",
    ),
    "store": GroupEntry(
        {
            "inspect": CommandEntry("store.inspect:inspect", "Look into a store directory."),
            "verify": CommandEntry("store.verify:verify", "Check a store directory, and repair it.", changes=True),
        },
        "Look into store directories of either engine, without a broker.",
    ),
    "profile": GroupEntry(
        {
            "list": CommandEntry("profile:list_profiles", "List the profiles that come with rmqctl."),
            "show": CommandEntry("profile:show", "Show the nodes and settings that a profile means."),
        },
        "List and show profiles.",
    ),
    "engine": GroupEntry(
        {
            "list": CommandEntry("engines.commands:list_engines", "List what nodes can run on."),
            "install": CommandEntry("engines.commands:install", "Fetch a version of Apache RocketMQ.", changes=True),
            "remove": CommandEntry("engines.commands:remove", "Delete a version of Apache RocketMQ.", changes=True),
        },
        "What nodes run on: our own, or Apache's Java nodes.",
    ),
    "conf": GroupEntry(
        {"show": CommandEntry("nodes.conf:show", "Print the configuration file of a node.")},
        "Show the configuration of nodes.",
    ),
    "systemd": GroupEntry(
        {
            "install": CommandEntry("cluster.systemd:install", "Let systemd run a cluster.", changes=True),
            "uninstall": CommandEntry("cluster.systemd:uninstall", "Take a cluster's units away.", changes=True),
            "print": CommandEntry("cluster.systemd:print_units", "Print the units without installing them."),
        },
        "Clusters that systemd starts at boot and keeps running.",
    ),
    "address": CommandEntry("address:address", "Show which address clients will be told, and why."),
    "completion": CommandEntry("completion.script:completion", "Print what teaches a shell to complete words."),
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

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that was chosen, by its words; one that changes something does not depend on its readers."""
        resolved = super().resolve_command(ctx, args)
        entry = self.table.get(resolved[0] or "")
        if isinstance(entry, CommandEntry) and entry.changes:
            endure(sys.stdout)
        return resolved

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
        outcome = _invoke(list(arguments) or ["--help"], supervisor)
        _flush_results()
        return outcome
    except RmqctlError as error:
        return _report(error, arguments)
    except (KeyboardInterrupt, typer.Abort):
        narrate("rmqctl: interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has read enough of what a command found that only looks.
        forget_stdout()
        return ExitCode.DONE
    except Exception as error:
        return _report(_explain(error), arguments)


def _flush_results() -> None:
    """Write what waits to be read; without a reader what the command found out is still its exit code.

    Raises:
        OSError: It cannot be written for another reason.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        forget_stdout()
    failure = failure_of(sys.stdout)
    if failure is not None:
        raise failure


def _invoke(arguments: list[str], supervisor: object) -> int:
    # Not `main` of the command: it gives Ctrl-C and closed pipes exit codes of its own.
    root = _build_root()
    try:
        with root.make_context("rmqctl", arguments, obj=supervisor) as context:
            return int(root.invoke(context) or ExitCode.DONE)
    except typer.Exit as ended:
        return int(ended.exit_code)


def _explain(error: Exception) -> RmqctlError:
    from rmqctl.cli.failures import defect, system_error, usage_error

    if isinstance(error, typer.TyperException):
        return usage_error(error)
    if os.environ.get("RMQCTL_DEBUG"):
        raise error
    told = system_error(error) if isinstance(error, OSError) else None
    return told or defect(error)


def _report(error: RmqctlError, arguments: Sequence[str]) -> int:
    """Tell the error to the person, and to the program that asked for JSON; returns the exit status."""
    print_error(error)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    try:
        if "--json" in options:
            print_json_error(error)
        sys.stdout.flush()
    except OSError:
        # It can't be written, and that may be the very error that was told above.
        forget_stdout()
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
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name)(load_function(entry))
    return typer.main.get_command(app)


def load_function(entry: CommandEntry) -> Callable[..., Any]:
    """Return the function behind a command, its module freshly imported."""
    module, _, function = entry.target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(f"rmqctl.cli.{module}"), function)
    return found
