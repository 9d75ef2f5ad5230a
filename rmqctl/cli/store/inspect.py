"""`rmqctl store inspect`: what a store holds: files, offsets, checkpoint, and the messages of a topic."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from rmqctl.cli.messages.rendering.damage import DamageWatch
from rmqctl.cli.messages.rendering.format import OutputFormat, choose_rendering
from rmqctl.cli.options import JsonOption
from rmqctl.cli.output import narrate, print_bytes_line, print_json, print_result, print_table
from rmqctl.cli.store.opening import CommitLogOption, StoreArgument, options_of, unreadable
from rmqctl.client.start_position import format_time
from rmqctl.errors import RmqctlError, UsageError
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import MalformedMessage, StoredMessage, decode_record
from rmqnode.store.errors import StoreError
from rmqnode.store.maintenance.view import StoreView
from rmqnode.store.options import StoreOptions


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
    options = options_of(folder, commit_log)
    try:
        view = StoreView(options)
    except (StoreError, OSError) as error:
        raise unreadable(folder, error) from None
    if topic is not None:
        _print_messages(view, topic, queue, offset or 0, count, json_output=json_output)
        return
    document = _document_of(view, options)
    if json_output:
        print_json(document)
    else:
        _print_document(document)


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
    form = OutputFormat.JSONL if json_output else OutputFormat.LINE
    watch = DamageWatch(choose_rendering(form, None), form)
    for place, message in _found(view, wanted, queue_offset, count):
        print_bytes_line(watch.render(place, message))
    watch.finish()


def _found(
    view: StoreView, wanted: list[tuple[str, int]], queue_offset: int, count: int
) -> Iterator[tuple[MessageQueue, StoredMessage]]:
    for topic, queue_id in wanted:
        place = MessageQueue(topic=topic, broker_name="store", queue_id=queue_id)
        for record in view.records(view.queues[topic, queue_id], queue_offset, count):
            try:
                message = decode_record(bytes(record))
            except MalformedMessage as error:
                narrate(f"a message of {topic}, queue {queue_id}, is damaged and left out: {error}")
                continue
            yield place, message
