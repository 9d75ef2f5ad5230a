"""`rmqctl tail`: the messages of a topic as they arrive, or from an earlier point on, until it is told to end."""

import sys
from datetime import datetime

import msgspec

from rmqctl.cli.messages.rendering.damage import DamageWatch
from rmqctl.cli.messages.rendering.format import OutputFormat, Rendering, choose_rendering
from rmqctl.cli.messages.tail.ending import ended_from_outside
from rmqctl.cli.messages.tail.options import (
    CountOption,
    GroupOption,
    KeyOption,
    LastOption,
    OutputFormatOption,
    QueueOption,
    SourceArgument,
    SqlOption,
    StartTextOption,
    TemplateOption,
    UntilOption,
)
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption, NameserverOption, RemapOption
from rmqctl.cli.output import narrate
from rmqctl.cli.queue_option import QueueChoice, parse_queue
from rmqctl.cli.session import choose_target, run_client_session, run_session
from rmqctl.client.client import Client
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.follower.follower import Delivered, Follower
from rmqctl.client.names import Subscription, check_group, parse_subscription
from rmqctl.client.routes import RouteTable
from rmqctl.client.start_position import (
    EndPosition,
    LastMessages,
    Latest,
    Since,
    StartPosition,
    UntilTime,
    parse_end,
    parse_start,
)
from rmqctl.errors import UsageError
from rmqctl.target import Target
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage
from rmqnode.protocol.properties import PropertyName


class Selection(msgspec.Struct, frozen=True):
    """Which messages are printed."""

    subscription: Subscription
    start: StartPosition
    end: EndPosition | None
    queues: tuple[QueueChoice, ...]
    """Empty: all."""
    keys: frozenset[str]
    """Empty: all messages; else those that have one of the keys, or it as their message id."""
    count: int | None
    """How many are enough."""

    @property
    def is_endless(self) -> bool:
        """Whether only the user ends it."""
        return self.count is None and self.end is None

    def wants_queue(self, queue: MessageQueue) -> bool:
        """Whether the queue is read."""
        return not self.queues or any(choice.wants(queue) for choice in self.queues)

    def wants(self, message: StoredMessage) -> bool:
        """Whether the message is printed."""
        if not self.keys:
            return True
        words = message.properties.get(PropertyName.KEYS, "").split()
        return message.message_id in self.keys or not self.keys.isdisjoint(words)


def tail(
    source: SourceArgument,
    start_text: StartTextOption = None,
    last: LastOption = None,
    until: UntilOption = None,
    count: CountOption = None,
    queue: QueueOption = None,
    sql: SqlOption = None,
    key: KeyOption = None,
    group: GroupOption = None,
    output_format: OutputFormatOption = OutputFormat.LINE,
    template: TemplateOption = None,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print the messages of all queues of a topic, merged by store time; commits no offsets, unless as a --group.

    --json is --format jsonl. Ctrl-C ends it after the last whole line, with exit code 0; it is 1 if the body of any was
    damaged.
    """
    now = datetime.now().astimezone()
    selection = Selection(
        subscription=_subscription_of(source, sql),
        start=_start_of(start_text, last, now),
        end=None if until is None else parse_end(until, now),
        queues=tuple(map(parse_queue, queue or ())),
        keys=frozenset(key or ()),
        count=count,
    )
    _check_span(selection)
    form = OutputFormat.JSONL if json_output else output_format
    render = choose_rendering(form, template)
    watch = DamageWatch(render, form if template is None else OutputFormat.TEMPLATE)
    if group is not None:
        _check_group_options(selection, last)
    target = choose_target(cluster, nameserver, home, remap)
    if group is not None:
        _tail_as_member(target, check_group(group), selection, watch.render)
        return watch.finish()

    async def work(connection: ClusterConnection) -> None:
        with ended_from_outside():
            routes = RouteTable(connection)
            async with Follower(
                connection,
                routes,
                selection.subscription,
                selection.start,
                _report,
                end=selection.end,
                wants=selection.wants_queue,
            ) as follower:
                _say_what_is_followed(selection, follower.queues)
                await _print_messages(follower, selection, watch.render)

    run_session(target, work)
    watch.finish()


def _tail_as_member(target: Target, group: str, selection: Selection, render: Rendering) -> None:
    from rmqctl.cli.messages.tail.group import print_as_member

    subscription = selection.subscription
    hint = " (Ctrl-C ends it)" if selection.is_endless else ""

    async def work(client: Client) -> None:
        # A consumer would wait for a topic that is not there; who types its name wants to be told.
        await client.routes.get(subscription.topic)
        narrate(f"consuming {subscription.topic}{_chosen(selection)} as a member of group {group}{hint}")
        await print_as_member(
            client, group, subscription, selection.start, selection.count, lambda found: print_messages(found, render)
        )

    run_client_session(target, work)


def _check_group_options(selection: Selection, last: int | None) -> None:
    given = {
        "--last": last,
        "--until": selection.end,
        "--queue": selection.queues,
        "--key": selection.keys,
    }
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise UsageError(
            f"{' and '.join(wrong)} and --group do not go together",
            "a group consumes all its messages, from where it left off; what is left out would be lost to it",
            "leave out --group to look without consuming",
        )


async def _print_messages(follower: Follower, selection: Selection, render: Rendering) -> None:
    printed_count = 0
    while selection.count is None or printed_count < selection.count:
        delivered = await follower.receive()
        if not delivered:
            return
        wanted = [(queue, message) for queue, message in delivered if selection.wants(message)]
        if selection.count is not None:
            wanted = wanted[: selection.count - printed_count]
        print_messages(wanted, render)
        printed_count += len(wanted)


def print_messages(delivered: list[Delivered], render: Rendering) -> None:
    """Write messages to stdout, a new line after each, and hand them on at once."""
    sys.stdout.buffer.write(b"".join(render(queue, message) + b"\n" for queue, message in delivered))
    sys.stdout.buffer.flush()


def _subscription_of(source: str, sql: str | None) -> Subscription:
    subscription = parse_subscription(source)
    if sql is None:
        return subscription
    if subscription.tags:
        raise UsageError(
            f"{source} names tags, and --sql was given as well",
            "one expression selects messages",
            "write the tags into it: --sql \"TAGS IN ('a', 'b') AND …\"",
        )
    if not sql.strip():
        raise UsageError("--sql is empty", cure="--sql \"price > 10 AND region = 'eu'\"")
    return subscription._replace(sql=sql)


def _start_of(start_text: str | None, last: int | None, now: datetime) -> StartPosition:
    if last is None:
        return parse_start(start_text or "latest", now)
    if start_text is not None:
        raise UsageError("--from and --last were both given", "each of them says where to start", "give one")
    return LastMessages(last)


def _check_span(selection: Selection) -> None:
    start, end = selection.start, selection.end
    if isinstance(start, Since) and isinstance(end, UntilTime) and end.timestamp_ms < start.timestamp_ms:
        raise UsageError(f"--until lies before --from: {end} is earlier than {start}", cure="exchange them")


def _say_what_is_followed(selection: Selection, queues: list[MessageQueue]) -> None:
    topic, chosen = selection.subscription.topic, _chosen(selection)
    until = f" until {selection.end}" if selection.end is not None else ""
    brokers = ", ".join(dict.fromkeys(queue.broker_name for queue in queues))
    word = "queue" if len(queues) == 1 else "queues"
    hints = ["Ctrl-C ends it"] if selection.is_endless else []
    if isinstance(selection.start, Latest):
        hints.append("--from earliest shows what is stored already")
    hint = f" ({'; '.join(hints)})" if hints else ""
    narrate(f"tailing {topic}{chosen} from {selection.start}{until}: {len(queues)} {word} on {brokers}{hint}")


def _chosen(selection: Selection) -> str:
    subscription = selection.subscription
    text = f" with tag {' or '.join(subscription.tags)}" if subscription.tags else ""
    text += f" where {subscription.sql}" if subscription.sql else ""
    return text + (f" with key {' or '.join(sorted(selection.keys))}" if selection.keys else "")


def _report(sentence: str) -> None:
    narrate(f"rmqctl: {sentence}")
