"""`rmqctl store verify`: check a store, and with `--repair` build anew what can be."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from rmqctl.cli.options import JsonOption, YesOption
from rmqctl.cli.output import confirm, narrate, print_json, print_result
from rmqctl.cli.store.opening import CommitLogOption, StoreArgument, options_of, unreadable
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqnode.config import ConfigError, read_delay_levels
from rmqnode.store.errors import StoreError, StoreLocked
from rmqnode.store.lock import lock_holder
from rmqnode.store.maintenance.repair import repair as repair_store
from rmqnode.store.maintenance.verify import StoreCheck, Verification
from rmqnode.store.options import DELAY_LEVELS_MS, StoreOptions
from rmqnode.store.tags_code import SCHEDULE_TOPIC

BrokerConfOption = Annotated[
    Path | None,
    typer.Option(
        "--broker-conf", metavar="FILE", help="Of its broker, for messageDelayLevel; else the one beside DIR."
    ),
]


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
    options = options_of(folder, commit_log)
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


def _check(folder: Path, options: StoreOptions) -> Verification:
    try:
        return StoreCheck(options).run()
    except (StoreError, OSError) as error:
        raise unreadable(folder, error) from None


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
