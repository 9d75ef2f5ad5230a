"""`rmqctl send`: one message, or the same one several times, each with its answer."""

from typing import Annotated

import typer

from rmqctl.cli.message_body import BodyFormat, read_body
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption, NameserverOption, RemapOption, TimeoutOption
from rmqctl.cli.output import narrate, print_json_line, print_result
from rmqctl.cli.session import choose_target, run_client_session
from rmqctl.client.admin import Admin, TopicSpec
from rmqctl.client.client import Client
from rmqctl.client.errors import TopicNotFound
from rmqctl.client.message import BODY_SIZE_BYTES_MAX, Message, SendResult, SendStatus, check_message
from rmqctl.client.names import check_own_topic, parse_destination
from rmqctl.client.producer import Producer
from rmqctl.client.queue_choice import choose_queue
from rmqctl.client.send_request import DEFAULT_QUEUE_COUNT
from rmqctl.errors import ExitCode, UsageError
from rmqnode.protocol.bodies import MessageQueue

_PRODUCER_GROUP = "rmqctl"

_NOT_OK_MEANS = {
    SendStatus.FLUSH_DISK_TIMEOUT.name: "stored, but not on disk in time",
    SendStatus.FLUSH_SLAVE_TIMEOUT.name: "stored, but no slave confirmed it in time",
    SendStatus.SLAVE_NOT_AVAILABLE.name: "stored, but no slave is there to confirm it",
}


def send(
    destination: Annotated[
        str, typer.Argument(metavar="TOPIC[:TAG]", help="Where to: one topic, at most one tag.", show_default=False)
    ],
    body: Annotated[
        str | None,
        typer.Argument(metavar="[BODY | @FILE | -]", help="The text, a file, or standard input.", show_default=False),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", metavar="KEY", help="A key to find it by; may be repeated.")
    ] = None,
    prop: Annotated[
        list[str] | None, typer.Option("--prop", metavar="K=V", help="A property of your own; may be repeated.")
    ] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", metavar="[BROKER:]ID", help="Send to this queue instead of all in turn.")
    ] = None,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="Send it N times, one by one.")] = 1,
    body_format: Annotated[
        BodyFormat, typer.Option("--format", help="json: check that the body is JSON; text: any bytes.")
    ] = BodyFormat.TEXT,
    create: Annotated[
        bool,
        typer.Option(
            "--create", help=f"Create an unknown topic first, with {DEFAULT_QUEUE_COUNT} queues on each master."
        ),
    ] = False,
    timeout: TimeoutOption = 10.0,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Send a message and print its id, broker, queue, offset and status; with --json one JSON object a message.

    Exit code 5: the message is stored, but its status is not SEND_OK.
    """
    topic, tag = parse_destination(destination)
    wanted_queue = None if queue is None else _parse_queue(queue)
    properties = dict(map(_parse_property, prop or ()))
    target = choose_target(cluster, nameserver, home, remap)
    message = check_message(Message(topic, read_body(body, body_format), tag, tuple(key or ()), properties))
    statuses: set[str] = set()

    async def work(client: Client) -> None:
        admin = Admin(client.connection)
        if create:
            await _create_if_unknown(admin, topic, timeout)
        chosen = await _choose_queue(admin, topic, wanted_queue)
        # What may be stored is not sent again: a person sees the error and decides.
        async with Producer(
            _PRODUCER_GROUP, client=client, may_duplicate=False, message_size_bytes_max=BODY_SIZE_BYTES_MAX
        ) as producer:
            for _ in range(count):
                result = await producer.send(message, queue=chosen)
                statuses.add(result.status)
                _print(result, json_output)

    run_client_session(target, work, request_timeout_seconds=timeout)
    statuses.discard(SendStatus.SEND_OK.name)
    for status in sorted(statuses):
        narrate(f"{status}: {_NOT_OK_MEANS[status]}")
    if statuses:
        raise typer.Exit(ExitCode.NOT_SEND_OK)


async def _create_if_unknown(admin: Admin, topic: str, timeout_seconds: float) -> None:
    try:
        await admin.routes.get(topic)
    except TopicNotFound:
        spec = TopicSpec(check_own_topic(topic), DEFAULT_QUEUE_COUNT, DEFAULT_QUEUE_COUNT)
        masters = await admin.create_topic(spec, broker=None, timeout_seconds=timeout_seconds)
        narrate(f"created topic {topic}: {DEFAULT_QUEUE_COUNT} queues on each of {', '.join(masters)}")


async def _choose_queue(admin: Admin, topic: str, wanted: tuple[str | None, int] | None) -> MessageQueue | None:
    return None if wanted is None else choose_queue(await admin.routes.get(topic), *wanted)


def _print(result: SendResult, json_output: bool) -> None:
    if json_output:
        print_json_line(result)
        return
    place = f"{result.broker} queue {result.queue_id} offset {result.queue_offset}"
    print_result(f"{result.message_id}  {place}  {result.status}")


def _parse_queue(text: str) -> tuple[str | None, int]:
    broker, _, number = text.rpartition(":")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise UsageError(f"--queue {text!r} names no queue", cure="--queue 0, or --queue broker-a:0")
    return broker or None, int(number)


def _parse_property(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"--prop {text!r} has no value", cure="--prop name=value")
    return name, value
