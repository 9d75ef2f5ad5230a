"""`rmqctl send`: one message, the same one many times, or one for each line of a file or of standard input."""

import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import msgspec
import typer

from rmqctl.cli.messages.send.body import BodyFormat, read_body
from rmqctl.cli.messages.send.options import (
    AsynchronousOption,
    BodyArgument,
    BodyFormatOption,
    CountOption,
    CreateOption,
    DelayLevelOption,
    DestinationArgument,
    KeyOption,
    LinesOption,
    OnewayOption,
    OrderKeyOption,
    ProducerGroupOption,
    PropOption,
    QueueOption,
    QuietOption,
    RateOption,
    TagOption,
    TransactionOption,
    VerboseOption,
)
from rmqctl.cli.messages.send.progress import shown_progress
from rmqctl.cli.messages.send.report import SendReport
from rmqctl.cli.messages.send.run import Decision, Sending, SendMode, print_send_result, send_one
from rmqctl.cli.messages.send.source import LineSource, RepeatedSource, Source
from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption, NameserverOption, RemapOption, TimeoutOption
from rmqctl.cli.output import narrate, print_json_line, print_result
from rmqctl.cli.queue_option import QueueChoice, parse_queue
from rmqctl.cli.session import choose_target, run_client_session
from rmqctl.client.admin.topics import TopicAdmin, TopicSpec
from rmqctl.client.client import Client
from rmqctl.client.errors import TopicNotFound
from rmqctl.client.message import BODY_SIZE_BYTES_MAX, Message, SendResult, SendStatus
from rmqctl.client.names import check_group, check_own_topic, parse_destination
from rmqctl.client.producer import Producer
from rmqctl.client.producer.queue_choice import choose_queue
from rmqctl.client.producer.send_request import DEFAULT_QUEUE_COUNT
from rmqctl.errors import ExitCode, UsageError
from rmqctl.target import Target
from rmqnode.protocol.bodies import MessageQueue

_PRODUCER_GROUP: Final = "rmqctl"

_NOT_OK_MEANS: Final = {
    SendStatus.FLUSH_DISK_TIMEOUT: "stored, but not on disk in time",
    SendStatus.FLUSH_SLAVE_TIMEOUT: "stored, but no slave confirmed it in time",
    SendStatus.SLAVE_NOT_AVAILABLE: "stored, but no slave is there to confirm it",
}


class SendPlan(msgspec.Struct, frozen=True):
    """What was asked for."""

    topic: str
    source: Source
    mode: SendMode
    queue: QueueChoice | None
    order_key: str | None
    decision: Decision | None
    producer_group: str
    rate: float | None
    create: bool
    timeout_seconds: float
    json_output: bool
    quiet: bool
    verbose: bool

    @property
    def is_single(self) -> bool:
        """Whether there is one message, whose result is all there is to say."""
        return self.source.count == 1

    @property
    def tells_each(self) -> bool:
        """Whether each message gets a line."""
        return not self.quiet and (self.json_output or self.verbose or self.is_single)


def send(
    destination: DestinationArgument,
    body: BodyArgument = None,
    tag: TagOption = None,
    key: KeyOption = None,
    prop: PropOption = None,
    body_format: BodyFormatOption = BodyFormat.TEXT,
    lines: LinesOption = False,
    count: CountOption = 1,
    rate: RateOption = None,
    queue: QueueOption = None,
    order_key: OrderKeyOption = None,
    delay_level: DelayLevelOption = 0,
    asynchronous: AsynchronousOption = False,
    oneway: OnewayOption = False,
    transaction: TransactionOption = None,
    producer_group: ProducerGroupOption = _PRODUCER_GROUP,
    create: CreateOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    timeout: TimeoutOption = 10.0,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Send messages and print id, broker, queue, offset and status of one, or a summary of many.

    With --json one object a message. Exit code 5: stored, but a status is not SEND_OK.
    """
    template = _template_of(destination, tag, key, prop, delay_level)
    if queue is not None and order_key is not None:
        raise UsageError("--queue and --order-key were both given", "each of them says which queue", "give one")
    if quiet and verbose:
        raise UsageError("--verbose and --quiet were both given", cure="give one")
    chosen_queue = None if queue is None else parse_queue(queue)
    mode = _mode_of(transaction, asynchronous=asynchronous, oneway=oneway)
    target = choose_target(cluster, nameserver, home, remap)
    plan = SendPlan(
        topic=template.topic,
        source=_source_of(template, body, body_format, count, lines=lines),
        mode=mode,
        queue=chosen_queue,
        order_key=order_key,
        decision=transaction,
        producer_group=check_group(producer_group),
        rate=rate,
        create=create,
        timeout_seconds=timeout,
        json_output=json_output,
        quiet=quiet,
        verbose=verbose,
    )
    _run(target, plan)


def _run(target: Target, plan: SendPlan) -> None:
    report = SendReport()
    seconds = plan.timeout_seconds
    try:
        run_client_session(target, lambda client: _send_all(client, plan, report), request_timeout_seconds=seconds)
    finally:
        # Whatever ended it, Ctrl-C included: what was sent is sent.
        _tell_summary(plan, report)
    _end(plan, report)


async def _send_all(client: Client, plan: SendPlan, report: SendReport) -> None:
    admin = TopicAdmin(client.connection, client.routes)
    if plan.create:
        await _create_if_unknown(admin, plan.topic, plan.timeout_seconds)
    # A topic that is not there is an error of its own, not one of each message.
    route = await client.routes.get(plan.topic)
    queue: MessageQueue | None = None if plan.queue is None else choose_queue(route, *plan.queue)
    # What may be stored is not sent again: a person sees the error and decides.
    async with Producer(
        plan.producer_group, client=client, may_duplicate=False, message_size_bytes_max=BODY_SIZE_BYTES_MAX
    ) as producer:
        if plan.is_single and plan.mode is not SendMode.ONEWAY:
            await _send_single(producer, plan, queue, report)
            return
        with shown_progress(report, count=plan.source.count, size_bytes=plan.source.size_bytes):
            sending = Sending(
                producer,
                plan.mode,
                queue=queue,
                order_key=plan.order_key,
                decision=plan.decision,
                rate=plan.rate,
                report=report,
                tell=_teller(plan),
            )
            await sending.run(plan.source)


async def _send_single(producer: Producer, plan: SendPlan, queue: MessageQueue | None, report: SendReport) -> None:
    """One message, whose error is the command's."""
    async with aclosing(plan.source.items()) as items:
        async for item in items:
            assert isinstance(item.message, Message)
            report.begin()
            message, decision = item.message, plan.decision
            result = await send_one(producer, message, queue=queue, order_key=plan.order_key, decision=decision)
            report.sent(result.status, report.seconds)
            _teller(plan)(result)


def _teller(plan: SendPlan) -> Callable[[SendResult], None]:
    if not plan.tells_each:
        return lambda result: None

    def tell(result: SendResult) -> None:
        print_send_result(result, plan.decision, json_output=plan.json_output)
        sys.stdout.flush()

    return tell


async def _create_if_unknown(admin: TopicAdmin, topic: str, timeout_seconds: float) -> None:
    try:
        await admin.routes.get(topic)
    except TopicNotFound:
        spec = TopicSpec(check_own_topic(topic), DEFAULT_QUEUE_COUNT, DEFAULT_QUEUE_COUNT)
        masters = await admin.create(spec, broker=None, timeout_seconds=timeout_seconds)
        narrate(f"created topic {topic}: {DEFAULT_QUEUE_COUNT} queues on each of {', '.join(masters)}")


def _tell_summary(plan: SendPlan, report: SendReport) -> None:
    if plan.is_single and plan.mode is SendMode.ONEWAY and report.sent_count and not plan.quiet:
        narrate(f"it left for topic {plan.topic}; nobody tells whether it arrived (--oneway)")
    if plan.is_single or not report.sent_count + report.failed_count:
        return
    report.end()
    if isinstance(plan.source, LineSource) and plan.source.empty_count:
        count = plan.source.empty_count
        narrate(f"{count} empty {'line was' if count == 1 else 'lines were'} passed over")
    if plan.json_output and plan.quiet:
        print_json_line(report.summary())
    elif plan.json_output:
        narrate(report.sentence())
    else:
        print_result(report.sentence())


def _end(plan: SendPlan, report: SendReport) -> None:
    for status, meaning in _NOT_OK_MEANS.items():
        if count := report.statuses[status]:
            narrate(f"{status}: {meaning}" if plan.is_single else f"{status}: {count} {meaning}")
    failure = report.failure()
    if failure is not None:
        raise failure
    if any(report.statuses[status] for status in _NOT_OK_MEANS):
        raise typer.Exit(ExitCode.NOT_SEND_OK)


def _mode_of(decision: Decision | None, *, asynchronous: bool, oneway: bool) -> SendMode:
    if decision is not None and (asynchronous or oneway):
        raise UsageError(
            f"--transaction and {'--async' if asynchronous else '--oneway'} were both given",
            "a transaction is decided about once its half message is stored",
            "give one",
        )
    if asynchronous and oneway:
        raise UsageError("--async and --oneway were both given", "--oneway waits for nothing anyway", "give one")
    return SendMode.ASYNC if asynchronous else SendMode.ONEWAY if oneway else SendMode.SYNC


def _template_of(
    destination: str, tag: str | None, keys: list[str] | None, properties: list[str] | None, delay_level: int
) -> Message:
    """What the command line says about each message, without a body."""
    topic, tag_of_destination = parse_destination(destination)
    if tag and tag_of_destination:
        raise UsageError(f"{destination} names a tag, and --tag was given as well", "a message has one", "give one")
    return Message(
        topic=topic,
        body=b"",
        tag=tag or tag_of_destination,
        keys=tuple(keys or ()),
        properties=dict(map(_parse_property, properties or ())),
        delay_level=delay_level,
    )


def _source_of(template: Message, body: str | None, body_format: BodyFormat, count: int, *, lines: bool) -> Source:
    if not lines and body_format is not BodyFormat.JSONL:
        return RepeatedSource(msgspec.structs.replace(template, body=read_body(body, body_format)), count)
    if count != 1:
        raise UsageError("--count and lines of input do not go together", "the input says how many there are")
    return LineSource(body, body_format, template)


def _parse_property(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"--prop {text!r} has no value", cure="--prop name=value")
    return name, value
