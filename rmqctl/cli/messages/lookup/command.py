"""`rmqctl message get | resend | trace`: single messages, and what became of them."""

from datetime import datetime
from typing import Annotated

import typer

from rmqctl.cli.messages.lookup.search import Found, Search, search
from rmqctl.cli.messages.lookup.trace import print_trace
from rmqctl.cli.messages.rendering.damage import DamageWatch
from rmqctl.cli.messages.rendering.document import body_of
from rmqctl.cli.messages.rendering.format import OutputFormat, choose_rendering
from rmqctl.cli.messages.tail.options import TemplateOption
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption, NameserverOption, RemapOption
from rmqctl.cli.output import narrate, print_bytes_line, print_json, print_result
from rmqctl.cli.queue_option import parse_queue
from rmqctl.cli.session import choose_target, run_session
from rmqctl.client.admin.groups import Gaps, GroupAdmin
from rmqctl.client.admin.lookup import MessageLookup
from rmqctl.client.admin.resend import DirectResult, consume_directly, send_to_retry_topic
from rmqctl.client.admin.trace import TRACE_TOPIC, TraceEvent, events_of
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import TopicNotFound
from rmqctl.client.names import check_group, check_topic
from rmqctl.client.routes import RouteTable
from rmqctl.client.start_position import Since, parse_start
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqnode.protocol.message import StoredMessage

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The producer's message id, or the broker's.", show_default=False)
]
TopicOption = Annotated[
    str | None, typer.Option("--topic", metavar="TOPIC", help="Look in this topic only; else in all of them.")
]


def get(
    message_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The producer's message id, or the broker's.", show_default=False),
    ] = None,
    topic: TopicOption = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="Messages of TOPIC with this key.")] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", metavar="[BROKER:]ID", help="With --offset: the queue of TOPIC.")
    ] = None,
    offset: Annotated[
        int | None, typer.Option("--offset", metavar="N", min=0, help="The message at this offset of the queue.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="With --key: only those stored since, as -2h.")
    ] = None,
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="With --key: at most N of each broker.")] = 32,
    output_format: Annotated[
        OutputFormat | None, typer.Option("--format", help="How messages are printed; default pretty.")
    ] = None,
    template: TemplateOption = None,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print the message with an id, those with a key, or the one at an offset of a queue.

    Exit code 1: there is none, or its body is damaged. --json is --format jsonl, one object a message.
    """
    if sum(value is not None for value in (message_id, key, offset)) != 1:
        raise UsageError(
            "which message is meant was not said, or said twice",
            cure="rmqctl message get ID, or --topic T --key K, or --topic T --queue 0 --offset 42",
        )
    if message_id is None and topic is None:
        raise UsageError("--key and --offset need a topic", cure="--topic TOPIC")
    if (queue is None) != (offset is None):
        raise UsageError("--queue and --offset go together", cure="--topic T --queue broker-a:0 --offset 42")
    wanted = Search(
        message_id=message_id,
        topic=None if topic is None else check_topic(topic),
        key=key,
        queue=None if queue is None else parse_queue(queue),
        offset=offset,
        since_ms=_since_ms(since),
        count=count,
    )
    default = OutputFormat.TEMPLATE if template is not None else OutputFormat.PRETTY
    form = OutputFormat.JSONL if json_output else output_format or default
    watch = DamageWatch(choose_rendering(form, template), form)

    async def work(connection: ClusterConnection) -> list[Found]:
        return await search(connection, wanted)

    for place, message in run_session(choose_target(cluster, nameserver, home, remap), work):
        print_bytes_line(watch.render(place, message))
    watch.finish()


def resend(
    message_id: IdArgument,
    group: Annotated[str, typer.Option("--group", metavar="GROUP", help="Who shall consume it.", show_default=False)],
    client: Annotated[
        str | None, typer.Option("--client", metavar="ID", help="This member of the group; else any.")
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Put it into the group's retry topic: also for a group without members.")
    ] = False,
    topic: TopicOption = None,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Have a member of a group consume a message now, and show how it went; or queue it for redelivery.

    Exit code 1: the member did not consume it successfully.
    """
    check_group(group)
    if retry and client:
        raise UsageError("--retry and --client were both given", "redelivery goes to any member", "give one")

    async def work(connection: ClusterConnection) -> DirectResult | None:
        place, message = (await search(connection, Search(message_id=message_id, topic=topic)))[0]
        if retry:
            await send_to_retry_topic(connection, place.broker_name, message, group)
            return None
        member = client or await _any_member(connection, group)
        return await consume_directly(connection, place.broker_name, message, group, member)

    result = run_session(choose_target(cluster, nameserver, home, remap), work)
    if result is None:
        if json_output:
            print_json({"message_id": message_id, "group": group, "queued": True})
            return
        print_result(f"{message_id} is queued for redelivery to group {group}")
        return
    if json_output:
        print_json({"message_id": message_id, "group": group, "queued": False, "result": result})
    else:
        print_result(f"{result.client_id} consumed it in {result.spent_ms} ms: {result.result}")
        if result.remark:
            narrate(f"its remark: {result.remark}")
    if not result.is_success:
        raise typer.Exit(ExitCode.REFUSED)


def trace(
    message_id: IdArgument,
    trace_topic: Annotated[
        str, typer.Option("--trace-topic", metavar="TOPIC", help="Where the clients write their traces.")
    ] = TRACE_TOPIC,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show when a message was sent and consumed, by whom and how, as far as clients with trace switched on wrote it.

    ID is the producer's message id.
    """
    check_topic(trace_topic)

    async def work(connection: ClusterConnection) -> list[TraceEvent]:
        routes = RouteTable(connection)
        lookup = MessageLookup(connection, routes)
        try:
            found = await lookup.by_key(trace_topic, message_id, count_max=64)
        except TopicNotFound:
            raise RmqctlError(
                f"this cluster has no trace topic {trace_topic}",
                "brokers have it only with traceTopicEnable=true, and clients may write to another one",
                "rmqctl up --set brokers:traceTopicEnable=true, or name it: --trace-topic TOPIC",
            ) from None
        return events_of([body for body in (_trace_body(message) for _, message in found) if body], message_id)

    events = run_session(choose_target(cluster, nameserver, home, remap), work)
    if not events:
        raise RmqctlError(
            f"nobody wrote a trace of {message_id} to {trace_topic}",
            "clients write one only when they are told to (enableMsgTrace), a few seconds later, and name the message"
            " by its producer's id",
            "look at the message itself: rmqctl message get ID",
        )
    if json_output:
        print_json({"message_id": message_id, "events": events})
        return
    print_trace(events)


def _trace_body(message: StoredMessage) -> bytes:
    """Return the body of a message of a trace topic; one that can't be trusted is left out, saying so."""
    body, problem = body_of(message)
    if problem is None:
        return body
    narrate(f"a trace is left out, {message.offset_message_id}: {problem}")
    return b""


async def _any_member(connection: ClusterConnection, group: str) -> str:
    members = (await GroupAdmin(connection).members(group, Gaps())).members
    if not members:
        raise RmqctlError(
            f"group {group} has no member that could consume it now",
            "no broker knows of a connected consumer",
            "start one, or queue the message for redelivery: --retry",
        )
    return members[0].client_id


def _since_ms(text: str | None) -> int:
    if text is None:
        return 0
    start = parse_start(text, datetime.now().astimezone())
    return start.timestamp_ms if isinstance(start, Since) else 0
