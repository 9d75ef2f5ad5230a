"""`rmqctl store inspect | verify`: store directories of either engine, without a running broker."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from rmqctl.cli.messages.rendering.format import OutputFormat, choose_rendering
from rmqctl.cli.options import JsonOption, YesOption
from rmqctl.cli.output import confirm, narrate, print_bytes_line, print_json, print_result, print_table
from rmqctl.client.start_position import format_time
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqnode.config import ConfigError, read_delay_levels
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import decode_record
from rmqnode.store.discovery import discover_options
from rmqnode.store.errors import StoreError, StoreLocked
from rmqnode.store.lock import lock_holder
from rmqnode.store.options import DELAY_LEVELS_MS, StoreOptions
from rmqnode.store.repair import repair as repair_store
from rmqnode.store.tags_code import SCHEDULE_TOPIC
from rmqnode.store.verify import StoreCheck, Verification
from rmqnode.store.view import StoreView

StoreArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The store's folder.", show_default=False)]
CommitLogOption = Annotated[
    Path | None, typer.Option("--commit-log", metavar="DIR", help="Folder of its commit log, if it lies elsewhere.")
]


BrokerConfOption = Annotated[
    Path | None,
    typer.Option(
        "--broker-conf", metavar="FILE", help="Of its broker, for messageDelayLevel; else the one beside DIR."
    ),
]


class QueueDocument(msgspec.Struct, frozen=True):
    """One consume queue in `store inspect --json`."""

    topic: str
    queue_id: int
    min_offset: int
    max_offset: int
    last_store_timestamp: int | None


class IndexDocument(msgspec.Struct, frozen=True):
    """One index file in `store inspect --json`."""

    name: str
    entries: int
    begin_offset: int
    end_offset: int
    begin_timestamp: int
    end_timestamp: int


class StoreDocument(msgspec.Struct, frozen=True):
    """A store in `store inspect --json`."""

    folder: str
    stopped_cleanly: bool
    pid: int | None
    """Of the broker that has it open."""
    min_offset: int
    end_offset: int
    commit_log_files: list[str]
    commit_log_file_size: int
    physic_timestamp: int
    logics_timestamp: int
    index_timestamp: int
    queues: list[QueueDocument]
    index_files: list[IndexDocument]


class ProblemDocument(msgspec.Struct, frozen=True):
    """One problem in `store verify --json`."""

    file: str
    position: int
    problem: str


class VerifyDocument(msgspec.Struct, frozen=True):
    """The outcome of `store verify --json`."""

    folder: str
    ok: bool
    records: int
    end_offset: int
    tail_bytes: int
    problems: list[ProblemDocument]
    problem_count: int
    notes: list[str]
    repaired: list[str]


def inspect(
    folder: StoreArgument,
    topic: Annotated[str | None, typer.Option("--topic", metavar="T", help="Show messages of this topic.")] = None,
    queue: Annotated[int | None, typer.Option("--queue", metavar="N", help="Of this queue only.")] = None,
    offset: Annotated[int | None, typer.Option("--offset", metavar="O", help="From this queue offset on.")] = None,
    count: Annotated[int, typer.Option("-n", metavar="N", help="So many messages of each queue.")] = 10,
    commit_log: CommitLogOption = None,
    json_output: JsonOption = False,
) -> None:
    """Look into a store: files, offsets, checkpoint and topics, or with --topic its messages."""
    if topic is None and (queue is not None or offset is not None):
        raise UsageError("--queue and --offset need a topic", cure="add --topic")
    options = _options_of(folder, commit_log)
    try:
        view = StoreView(options)
    except (StoreError, OSError) as error:
        raise _unreadable(folder, error) from None
    if topic is not None:
        _print_messages(view, topic, queue, offset or 0, count, json_output=json_output)
        return
    document = _document_of(view, options)
    if json_output:
        print_json(document)
    else:
        _print_document(document)


def verify(
    folder: StoreArgument,
    repair: Annotated[
        bool, typer.Option("--repair", help="Build damaged consume queues and the index anew; cut a torn tail.")
    ] = False,
    commit_log: CommitLogOption = None,
    broker_conf: BrokerConfOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> int:
    """Check every record, its CRC, consume queues and index of a store; exit code 1 if anything is wrong."""
    options = _options_of(folder, commit_log)
    holder = lock_holder(options.root / "lock")
    if holder is not None:
        raise _in_use(folder, f"process {holder} has it open")
    found = _check(folder, options)
    repaired: list[str] = []
    if repair and (found.damaged_queues or found.is_index_damaged or found.tail_bytes):
        options = replace(options, delay_levels_ms=_delay_levels_ms(folder, found, broker_conf))
        repaired = _repair(folder, options, found, yes=yes)
        found = _check(folder, options)
    document = VerifyDocument(
        folder=str(folder),
        ok=not found.problem_count,
        records=found.records,
        end_offset=found.end_offset,
        tail_bytes=found.tail_bytes,
        problems=[ProblemDocument(str(path), position, what) for path, position, what in found.problems],
        problem_count=found.problem_count,
        notes=found.notes,
        repaired=repaired,
    )
    if json_output:
        print_json(document)
    else:
        _print_verification(document)
    return ExitCode.DONE if document.ok else ExitCode.REFUSED


def _options_of(folder: Path, commit_log: Path | None) -> StoreOptions:
    try:
        return discover_options(folder, commit_log)
    except StoreError as error:
        cure = "name the folder that holds commitlog/, consumequeue/ and config/, such as <node>/store"
        raise UsageError(f"{folder} cannot be opened as a store", str(error), cure) from None


def _check(folder: Path, options: StoreOptions) -> Verification:
    try:
        return StoreCheck(options).run()
    except (StoreError, OSError) as error:
        raise _unreadable(folder, error) from None


def _delay_levels_ms(folder: Path, found: Verification, broker_conf: Path | None) -> tuple[int, ...]:
    """Delays of the broker, if a queue of delayed messages has to be built anew: its units say when they are due."""
    if not any(topic == SCHEDULE_TOPIC for topic, _ in found.damaged_queues):
        return DELAY_LEVELS_MS
    path = broker_conf or folder.absolute().parent / "broker.conf"
    if broker_conf is None and not path.exists():
        narrate("note: delayed messages get Apache's default messageDelayLevel; --broker-conf names another one")
        return DELAY_LEVELS_MS
    try:
        return read_delay_levels(path) or DELAY_LEVELS_MS
    except ConfigError as error:
        cure = "name the configuration of this store's broker: --broker-conf FILE"
        raise UsageError(f"{path} tells no messageDelayLevel", str(error), cure) from None


def _repair(folder: Path, options: StoreOptions, found: Verification, *, yes: bool) -> list[str]:
    cut_tail = False
    if found.tail_bytes:
        question = (
            f"cut {found.tail_bytes} bytes behind the last whole record of {folder} (physical offset "
            f"{found.end_offset})? They are no message; a broker cuts them at its start too."
        )
        cut_tail = confirm(question, yes=yes, refused="a torn tail is not cut without a confirmation")
    try:
        return repair_store(options, found, cut_tail=cut_tail)
    except StoreLocked as error:
        raise _in_use(folder, str(error)) from None
    except OSError as error:
        cure = "make room or the folder writable, then run it again"
        raise RmqctlError(f"{folder} is not repaired", error.strerror, cure) from None


def _in_use(folder: Path, why: str) -> RmqctlError:
    return RmqctlError(f"{folder} is in use", why, "take the broker down first: rmqctl down")


def _unreadable(folder: Path, error: StoreError | OSError) -> RmqctlError:
    cure = "make its files readable and writable for you, and as its broker made them"
    return RmqctlError(f"{folder} cannot be read", str(error), cure)


# --- what a store holds ----------------------------------------------------------------------------------------------


def _document_of(view: StoreView, options: StoreOptions) -> StoreDocument:
    return StoreDocument(
        folder=str(options.root),
        stopped_cleanly=view.was_stopped,
        pid=view.holder,
        min_offset=view.min_offset,
        end_offset=view.end_offset,
        commit_log_files=[path.name for path in view.log_files()],
        commit_log_file_size=options.mapped_file_size_commit_log,
        physic_timestamp=view.checkpoint.physic_timestamp,
        logics_timestamp=view.checkpoint.logics_timestamp,
        index_timestamp=view.checkpoint.index_timestamp,
        queues=[
            QueueDocument(
                topic,
                queue_id,
                queue.min_queue_offset,
                queue.max_queue_offset,
                view.store_timestamp(queue, queue.max_queue_offset - 1),
            )
            for (topic, queue_id), queue in sorted(view.queues.items())
        ],
        index_files=[
            IndexDocument(
                file.file.path.name,
                file.count - 1,
                file.begin_offset,
                file.end_offset,
                file.begin_timestamp,
                file.end_timestamp,
            )
            for file in view.index_files()
        ],
    )


def _print_document(document: StoreDocument) -> None:
    used = f"open in process {document.pid}" if document.pid is not None else "not in use"
    stop = "stopped cleanly" if document.stopped_cleanly else "not stopped cleanly (abort file)"
    files = document.commit_log_files
    print_result(f"store        {document.folder}: {used}, {stop}")
    print_result(f"commit log   {document.min_offset}..{document.end_offset}, {_files_text(len(files))} "
                 f"of {document.commit_log_file_size} bytes, from {files[0]} to {files[-1]}")  # fmt: skip
    flushed = (document.physic_timestamp, document.logics_timestamp, document.index_timestamp)
    print_result("checkpoint   " + ", ".join(
        f"{name} {format_time(timestamp) if timestamp else '-'}"
        for name, timestamp in zip(("log", "queues", "index"), flushed, strict=True)
    ))  # fmt: skip
    for file in document.index_files:
        print_result(f"index        {file.name}: {file.entries} entries, {file.begin_offset}..{file.end_offset}")
    print_table(
        ["TOPIC", "QUEUE", "MIN OFFSET", "MAX OFFSET", "LAST MESSAGE"],
        [
            [
                queue.topic,
                str(queue.queue_id),
                str(queue.min_offset),
                str(queue.max_offset),
                "-" if queue.last_store_timestamp is None else format_time(queue.last_store_timestamp),
            ]
            for queue in document.queues
        ],
    )


def _files_text(count: int) -> str:
    return f"{count} {'file' if count == 1 else 'files'}"


def _print_messages(
    view: StoreView, topic: str, queue_id: int | None, queue_offset: int, count: int, *, json_output: bool
) -> None:
    wanted = sorted(key for key in view.queues if key[0] == topic and queue_id in (None, key[1]))
    if not wanted:
        topics = ", ".join(sorted({name for name, _ in view.queues})) or "none"
        which = topic if queue_id is None else f"{topic}, queue {queue_id}"
        raise RmqctlError(f"no messages of {which} are in this store", f"there are queues of: {topics}")
    for line in _lines(view, wanted, queue_offset, count, json_output=json_output):
        print_bytes_line(line)


def _lines(
    view: StoreView, wanted: list[tuple[str, int]], queue_offset: int, count: int, *, json_output: bool
) -> Iterator[bytes]:
    render = choose_rendering(OutputFormat.JSONL if json_output else OutputFormat.LINE, None)
    for topic, queue_id in wanted:
        place = MessageQueue(topic=topic, broker_name="store", queue_id=queue_id)
        for record in view.records(view.queues[topic, queue_id], queue_offset, count):
            yield render(place, decode_record(bytes(record)))


# --- what is wrong with it -------------------------------------------------------------------------------------------


def _print_verification(document: VerifyDocument) -> None:
    for what in document.repaired:
        narrate(f"repaired: {what}")
    for note in document.notes:
        narrate(f"note: {note}")
    if document.tail_bytes:
        narrate(
            f"note: {document.tail_bytes} bytes behind physical offset {document.end_offset} are no record "
            "(a torn tail): the next start cuts them, and so does --repair"
        )
    for problem in document.problems:
        print_result(f"{problem.file}:{problem.position}: {problem.problem}")
    if document.problem_count > len(document.problems):
        print_result(f"… and {document.problem_count - len(document.problems)} more")
    state = "ok" if document.ok else f"{document.problem_count} problems"
    print_result(f"{document.folder}: {state}, {document.records} records up to physical offset {document.end_offset}")
