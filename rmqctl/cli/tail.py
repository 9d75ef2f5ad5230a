"""`rmqctl tail`: the messages of a topic as they arrive, or from an earlier point on."""

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Annotated

import trio
import typer

from rmqctl.cli.message_line import json_line, terminal_line, text_line
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption, NameserverOption
from rmqctl.cli.output import is_terminal, narrate
from rmqctl.cli.session import choose_target, run_session
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.follow import Follower
from rmqctl.client.names import Subscription, parse_subscription
from rmqctl.client.routes import RouteTable
from rmqctl.client.start_position import Latest, StartPosition, parse_start
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage

Rendering = Callable[[MessageQueue, StoredMessage], bytes]


def tail(
    source: Annotated[
        str, typer.Argument(metavar="TOPIC[:TAGS]", help="The topic; tags as a||b or a,b.", show_default=False)
    ],
    start_text: Annotated[
        str,
        typer.Option("--from", metavar="latest|earliest|TIME", help="Where to start: an age as -10m, or a time."),
    ] = "latest",
    count: Annotated[
        int | None, typer.Option("-n", metavar="N", min=1, help="Stop after N messages; else go on for ever.")
    ] = None,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print the messages of all queues of a topic, merged by store time; commits no offsets.

    Ctrl-C ends it after the last whole line, with exit code 0.
    """
    subscription = parse_subscription(source)
    start = parse_start(start_text, datetime.now().astimezone())
    target = choose_target(cluster, nameserver, home)
    render = _choose_rendering(json_output)

    async def work(connection: ClusterConnection) -> None:
        with trio.CancelScope() as scope, _ended_by_signals(scope):
            _end_with_the_reader(scope)
            routes = RouteTable(connection)
            async with Follower(connection, routes, subscription, start, _report) as follower:
                _say_what_is_followed(subscription, start, follower.queues, endless=count is None)
                await _print_messages(follower, render, count)

    run_session(target, work)


async def _print_messages(follower: Follower, render: Rendering, count: int | None) -> None:
    printed_count = 0
    while count is None or printed_count < count:
        delivered = await follower.receive()
        if count is not None:
            delivered = delivered[: count - printed_count]
        sys.stdout.buffer.write(b"".join(render(queue, message) + b"\n" for queue, message in delivered))
        sys.stdout.buffer.flush()
        printed_count += len(delivered)


def _choose_rendering(json_output: bool) -> Rendering:
    if json_output:
        return json_line
    if not is_terminal(sys.stdout):
        return text_line
    return partial(terminal_line, colour="NO_COLOR" not in os.environ)


def _say_what_is_followed(
    subscription: Subscription, start: StartPosition, queues: list[MessageQueue], *, endless: bool
) -> None:
    tags = f" with tag {' or '.join(subscription.tags)}" if subscription.tags else ""
    brokers = ", ".join(dict.fromkeys(queue.broker_name for queue in queues))
    word = "queue" if len(queues) == 1 else "queues"
    hints = ["Ctrl-C ends it"] if endless else []
    if isinstance(start, Latest):
        hints.append("--from earliest shows what is stored already")
    hint = f" ({'; '.join(hints)})" if hints else ""
    narrate(f"tailing {subscription.topic}{tags} from {start}: {len(queues)} {word} on {brokers}{hint}")


def _report(sentence: str) -> None:
    narrate(f"rmqctl: {sentence}")


@contextmanager
def _ended_by_signals(scope: trio.CancelScope) -> Iterator[None]:
    """End the work after the line that is being printed when the user (or a supervisor) asks for it.

    A second Ctrl-C interrupts at once: the reader of our output may have stopped reading.
    """
    token = trio.lowlevel.current_trio_token()

    def stop(signal_number: int, _frame: object) -> None:
        signal.signal(signal_number, previous[signal.Signals(signal_number)])
        token.run_sync_soon(scope.cancel)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_with_the_reader(scope: trio.CancelScope) -> None:
    """End the work when nobody reads stdout any more (`| head`), even if no message comes that would show it."""
    token = trio.lowlevel.current_trio_token()

    def wait_and_end() -> None:
        poll = select.poll()
        # No event is asked for: only a reader that went away (POLLERR, POLLHUP) ends the wait.
        poll.register(sys.stdout.fileno(), 0)
        poll.poll()
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(scope.cancel)

    # A daemon, because nothing can interrupt the wait of a command that ends for another reason.
    threading.Thread(target=wait_and_end, name="stdout reader watch", daemon=True).start()
