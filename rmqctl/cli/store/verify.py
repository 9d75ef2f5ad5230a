"""`rmqctl store verify`: check a store, and with `--repair` mend what can be, from its log and from a replica."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer

from rmqctl.cli.options import JsonOption, YesOption
from rmqctl.cli.output import confirm, narrate, print_json, print_result
from rmqctl.cli.store.broker_conf import BrokerConf, read_broker_conf
from rmqctl.cli.store.opening import CommitLogOption, StoreArgument, options_of, unreadable
from rmqctl.cli.store.replica_folder import replica_folder
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqnode.config import ConfigError, read_delay_levels
from rmqnode.store.damage import Damage, Extent
from rmqnode.store.errors import StoreError, StoreLocked
from rmqnode.store.lock import lock_holder
from rmqnode.store.maintenance.problems import Problem
from rmqnode.store.maintenance.repair import plan_repair
from rmqnode.store.maintenance.repair import repair as repair_store
from rmqnode.store.maintenance.replica import Offer, Replica
from rmqnode.store.maintenance.verify import StoreCheck, Verification
from rmqnode.store.options import DELAY_LEVELS_MS, StoreOptions
from rmqnode.store.tags_code import SCHEDULE_TOPIC

BrokerConfOption = Annotated[
    Path | None,
    typer.Option("--broker-conf", metavar="FILE", help="Of its broker; else the one beside DIR, if it names DIR."),
]


class ProblemDocument(msgspec.Struct, frozen=True):
    """One problem in `store verify --json`."""

    file: str
    position: int
    problem: str


class PartDocument(msgspec.Struct, frozen=True):
    """Messages of a queue that lie in a damaged stretch; queue offsets, the end excluded."""

    topic: str
    queue_id: int
    from_offset: int
    to_offset: int


class StretchDocument(msgspec.Struct, frozen=True):
    """One damaged stretch of the commit log in `store verify --json`; physical offsets, the end excluded."""

    begin: int
    end: int
    is_known: bool
    """Whether the broker has met it, and steps over it."""
    queues: list[PartDocument]
    replica: str | None
    """With --from: `whole`, or why the replica's bytes are not taken."""


class VerifyDocument(msgspec.Struct, frozen=True):
    """The outcome of `store verify --json`."""

    folder: str
    ok: bool
    records: int
    end_offset: int
    tail_bytes: int
    damaged: list[StretchDocument]
    problems: list[ProblemDocument]
    problem_count: int
    notes: list[str]
    repair: list[str]
    """What --repair would do now."""
    repaired: list[str]


class _Source(NamedTuple):
    """Where damaged bytes may come from, and what it has."""

    replica: Replica | None = None
    offers: tuple[Offer, ...] = ()


def verify(
    folder: StoreArgument,
    repair: Annotated[
        bool, typer.Option("--repair", help="Build damaged consume queues and the index anew; cut a torn tail.")
    ] = False,
    replica: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NODE|DIR", help="Take damaged bytes from this node of the cluster, or from a store."
        ),
    ] = None,
    commit_log: CommitLogOption = None,
    broker_conf: BrokerConfOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> int:
    """Check every record, its CRC, consume queues, index and tables of a store; exit code 1 if anything is wrong."""
    conf = read_broker_conf(folder, broker_conf)
    options = options_of(folder, commit_log or conf.commit_log_dir, needs_log=False, configured=conf.sizes)
    holder = _holder(folder, options)
    if holder is not None:
        raise _in_use(folder, f"process {holder} has it open")
    found = _check(folder, options, conf)
    source = _look_at_replica(folder, options, replica, found)
    steps = plan_repair(found, source.offers)
    repaired: list[str] = []
    if repair and steps:
        options = replace(options, delay_levels_ms=_delay_levels_ms(folder, found, broker_conf))
        repaired = _repair(folder, options, found, source, steps, yes=yes)
        found = _check(folder, options, conf)
        source = _Source(source.replica, tuple(offer for offer in source.offers if offer.refusal is not None))
    document = _document_of(folder, found, source, repaired)
    if json_output:
        print_json(document)
    else:
        _print_verification(document)
    return ExitCode.DONE if document.ok else ExitCode.REFUSED


def _holder(folder: Path, options: StoreOptions) -> int | None:
    try:
        return lock_holder(options.root / "lock")
    except OSError as error:
        raise unreadable(folder, error) from None


def _check(folder: Path, options: StoreOptions, conf: BrokerConf) -> Verification:
    try:
        found = StoreCheck(options).run()
    except (StoreError, OSError) as error:
        raise unreadable(folder, error) from None
    more: list[Problem] = conf.problems + conf.misfits(options)
    return found._replace(
        problems=more + found.problems,
        problem_count=found.problem_count + len(more),
        notes=conf.notes + found.notes,
    )


def _look_at_replica(folder: Path, options: StoreOptions, named: str | None, found: Verification) -> _Source:
    if named is None:
        return _Source()
    replica_root = replica_folder(folder, named)
    try:
        conf = read_broker_conf(replica_root, None)
        replica = Replica(options_of(replica_root, conf.commit_log_dir, configured=conf.sizes), options)
        return _Source(replica, tuple(replica.offers(found.extents)))
    except OSError as error:
        raise unreadable(replica_root, error) from None


def _delay_levels_ms(folder: Path, found: Verification, broker_conf: Path | None) -> tuple[int, ...]:
    """Delays of the broker, if a queue of delayed messages may be built anew: its units say when they are due."""
    is_concerned = any(topic == SCHEDULE_TOPIC for topic, _ in found.damaged_queues) or any(
        part.topic == SCHEDULE_TOPIC for extent in found.extents for part in extent.queues
    )
    if not is_concerned:
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


def _repair(
    folder: Path, options: StoreOptions, found: Verification, source: _Source, steps: list[str], *, yes: bool
) -> list[str]:
    """Say what will be done, ask if the log itself is to be changed, and do it."""
    narrate(f"repairing {folder} will:")
    for step in steps:
        narrate(f"  {step}")
    changes_log = bool(found.tail_bytes) or any(offer.refusal is None for offer in source.offers)
    may_change_log = changes_log and confirm(
        f"Change the commit log of {folder}? What stood there is kept in {options.root / 'damaged'}.",
        yes=yes,
        refused="a commit log is not changed without a confirmation",
    )
    try:
        return repair_store(
            options,
            found,
            cut_tail=may_change_log,
            replica=source.replica,
            offers=source.offers if may_change_log else (),
        )
    except StoreLocked as error:
        raise _in_use(folder, str(error)) from None
    except OSError as error:
        cure = "make room or the folder writable, then run it again"
        raise RmqctlError(f"{folder} is not repaired", error.strerror, cure) from None


def _in_use(folder: Path, why: str) -> RmqctlError:
    return RmqctlError(f"{folder} is in use", why, "take the broker down first: rmqctl down")


def _document_of(folder: Path, found: Verification, source: _Source, repaired: list[str]) -> VerifyDocument:
    known = Damage.of(folder)
    answers = {offer.extent: offer.refusal or "whole" for offer in source.offers}
    return VerifyDocument(
        folder=str(folder),
        ok=not found.problem_count,
        records=found.records,
        end_offset=found.end_offset,
        tail_bytes=found.tail_bytes,
        damaged=[_stretch_of(extent, known, answers.get(extent)) for extent in found.extents],
        problems=[ProblemDocument(str(path), position, what) for path, position, what in found.problems],
        problem_count=found.problem_count,
        notes=found.notes,
        repair=plan_repair(found, source.offers),
        repaired=repaired,
    )


def _stretch_of(extent: Extent, known: Damage, answer: str | None) -> StretchDocument:
    return StretchDocument(
        begin=extent.begin,
        end=extent.end,
        is_known=known.holds(extent.begin),
        queues=[PartDocument(*part) for part in extent.queues],
        replica=answer,
    )


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
    for stretch in document.damaged:
        if stretch.replica is not None and stretch.replica != "whole":
            narrate(f"not taken from the replica: {stretch.begin} to {stretch.end}: {stretch.replica}")
    if document.repair and not document.repaired:
        narrate("--repair would:")
        for step in document.repair:
            narrate(f"  {step}")
    state = "ok" if document.ok else f"{document.problem_count} problems"
    print_result(f"{document.folder}: {state}, {document.records} records up to physical offset {document.end_offset}")
