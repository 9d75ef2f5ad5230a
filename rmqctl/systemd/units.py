"""The units of a cluster: one for all of it, or one for each node below a target.

Pure: from the model to texts. `rmqctl.systemd.installation` writes them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from rmqctl.engine.start import StartSpec
from rmqctl.home import SYSTEM_HOMES, ClusterHome
from rmqctl.profile.model import ClusterModel, Node, Role
from rmqctl.supervisor.exit_status import EXIT_STORE_INCOMPLETE
from rmqctl.systemd.hardening import sandbox
from rmqctl.systemd.record import UNIT_VARIABLE, Scope
from rmqctl.systemd.unit_file import Directive, UnitFile, command_line, environment, path

SYSTEM_CACHE = Path("/var/cache/rmqctl")
"""Where units of the system find the jars of Java nodes: fetched by whoever installs them, for they may not do that."""

_DYNAMIC_USER = "rmqctl"
_WATCHDOG: Directive = ("WatchdogSec", "30")
_DESCRIPTORS_MAX = 65_536
_NEVER_GIVE_UP: Directive = ("StartLimitIntervalSec", "0")
_STEPS_SINCE = 254
"""The first systemd with RestartSteps=."""
_START_SECONDS = 60
_JAVA_START_SECONDS = 180
_STOP_SECONDS = 60
_JAVA_STOP_SECONDS = 120
_TIMEOUT_MARGIN_SECONDS = 10
_PROTECTED_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""What ProtectHome= hides."""
_OWN_FOLDERS = (Path("/tmp"), Path("/var/tmp"))
"""What PrivateTmp= replaces."""


class UnitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the units of a cluster shall be.

    Args:
        python: The interpreter that has rmqctl.
        code: Every file without which it does not run, by its last name: where links lead to is another place.
        run_as: System account that the nodes run as; None lets systemd make one up.
        java_home: JAVA_HOME of whoever installs the units.
        systemd_version: Of the systemd that will read them; it warns of what only later ones know.
    """

    scope: Scope
    per_node: bool
    python: Path
    code: tuple[Path, ...] = ()
    run_as: str | None = None
    java_home: str | None = None
    systemd_version: int = 0

    @property
    def cache(self) -> Path | None:
        """Where the units find jars; None for the cache of the user that they run as."""
        return SYSTEM_CACHE if self.scope is Scope.SYSTEM else None


def unit_names(model: ClusterModel, *, per_node: bool) -> list[str]:
    """Names of the units, the one to start and enable first."""
    if not per_node:
        return [f"rmqctl-{model.name}.service"]
    return [f"rmqctl-{model.name}.target", *(_node_unit(model, node) for node in model.nodes)]


def cluster_units(
    model: ClusterModel, home: ClusterHome, specs: Mapping[str, StartSpec], options: UnitOptions
) -> list[UnitFile]:
    """The unit files, in the order of `unit_names`.

    Args:
        model: The cluster, with final ports and folders.
        home: Where it lives.
        specs: How each node is started; only units per node need it.
        options: How the units shall be.
    """
    if not options.per_node:
        return [_supervisor_unit(model, home, options)]
    nodes = [_unit_of_node(model, home, node, specs[node.name], options) for node in model.nodes]
    return [_target(model, options), *nodes]


def _supervisor_unit(model: ClusterModel, home: ClusterHome, options: UnitOptions) -> UnitFile:
    (name,) = unit_names(model, per_node=False)
    start = _JAVA_START_SECONDS if model.has_java_nodes else _START_SECONDS
    addresses = sorted({address for node in model.nodes for address in node.bind_addresses})
    program = [str(options.python), "-P", "-m", "rmqctl"]
    which = ["--home", str(home.root), "--cluster", model.name]
    return UnitFile(
        name,
        {
            "Unit": [
                ("Description", f"RocketMQ cluster {model.name} ({len(model.nodes)} nodes, rmqctl)"),
                _NEVER_GIVE_UP,
                *_after_network(options.scope),
            ],
            "Service": [
                ("Type", "notify"),
                # The supervisor says that the cluster is ready and that it is the main process; `up` then ends.
                ("NotifyAccess", "all"),
                ("ExecStart", command_line([*program, "up", *which, "--timeout", str(start)])),
                # Not by a signal alone: systemd does not wait for a main process that another one started.
                ("ExecStop", command_line([*program, "down", *which])),
                ("KillMode", "mixed"),
                # It restarts a node that the kernel killed for memory; the others go on.
                ("OOMPolicy", "continue"),
                *_running(name, has_java=model.has_java_nodes),
                *(_finding_java(options) if model.has_java_nodes else []),
                _WATCHDOG,
                *_account(model, home, options),
                *sandbox(
                    is_system=options.scope is Scope.SYSTEM,
                    has_java=model.has_java_nodes,
                    bind_addresses=addresses,
                    umask=model.umask,
                ),
            ],
            "Install": [("WantedBy", _boot_target(options.scope))],
        },
    )


def _unit_of_node(
    model: ClusterModel, home: ClusterHome, node: Node, spec: StartSpec, options: UnitOptions
) -> UnitFile:
    name = _node_unit(model, node)
    target = unit_names(model, per_node=True)[0]
    is_java = spec.argv is not None
    command = spec.argv or [str(options.python), "-P", "-m", "rmqnode", node.kind, "-c", spec.config_path]
    after = [_node_unit(model, other) for other in model.nodes if _starts_before(other, node)]
    return UnitFile(
        name,
        {
            "Unit": [
                ("Description", f"RocketMQ {node.role} {node.name} of cluster {model.name} (rmqctl)"),
                ("PartOf", target),
                _NEVER_GIVE_UP,
                *([("After", " ".join(after))] if after else _after_network(options.scope)),
            ],
            "Service": [
                *(_java_program(spec) if is_java else [("Type", "notify"), _WATCHDOG]),
                ("ExecStart", command_line(command)),
                *_running(name, has_java=is_java),
                *([] if is_java else _starting_again(options)),
                *_account(model, home, options),
                *([] if is_java or options.scope is Scope.USER else [("ProcSubset", "pid")]),
                *sandbox(
                    is_system=options.scope is Scope.SYSTEM,
                    has_java=is_java,
                    bind_addresses=node.bind_addresses,
                    umask=model.umask,
                ),
            ],
            "Install": [("WantedBy", target)],
        },
    )


def _target(model: ClusterModel, options: UnitOptions) -> UnitFile:
    name, *nodes = unit_names(model, per_node=True)
    return UnitFile(
        name,
        {
            "Unit": [
                ("Description", f"RocketMQ cluster {model.name} (rmqctl)"),
                ("Wants", " ".join(nodes)),
            ],
            "Install": [("WantedBy", _boot_target(options.scope))],
        },
    )


def _node_unit(model: ClusterModel, node: Node) -> str:
    return f"rmqctl-{model.name}-{node.name}.service"


def _starts_before(other: Node, node: Node) -> bool:
    """Nameservers come first, and a slave's master before the slave."""
    if node.role is Role.NAMESERVER:
        return False
    if other.role is Role.NAMESERVER:
        return True
    return node.role is Role.SLAVE and other.role is Role.MASTER and other.broker_name == node.broker_name


def _java_program(spec: StartSpec) -> list[Directive]:
    """Apache's nodes do not tell systemd when they are ready, and exit with 143 after SIGTERM."""
    return [("Type", "exec"), ("WorkingDirectory", spec.folder), ("SuccessExitStatus", "143")]


def _finding_java(options: UnitOptions) -> list[Directive]:
    """What `up` looks for Java and jars by, which a unit does not inherit."""
    found = [("RMQCTL_CACHE", str(options.cache))] if options.cache else []
    found += [("JAVA_HOME", options.java_home)] if options.java_home else []
    return [("Environment", environment(name, value)) for name, value in found]


def _boot_target(scope: Scope) -> str:
    return "multi-user.target" if scope is Scope.SYSTEM else "default.target"


def _after_network(scope: Scope) -> list[Directive]:
    """An address of the machine has to be there before a node can listen on it; a user's manager starts later."""
    if scope is Scope.USER:
        return []
    return [("Wants", "network-online.target"), ("After", "network-online.target")]


def _running(unit: str, *, has_java: bool) -> list[Directive]:
    return [
        ("Environment", environment(UNIT_VARIABLE, unit)),
        ("Restart", "always"),
        ("RestartSec", "1"),
        ("TimeoutStartSec", str((_JAVA_START_SECONDS if has_java else _START_SECONDS) + _TIMEOUT_MARGIN_SECONDS)),
        ("TimeoutStopSec", str(_JAVA_STOP_SECONDS if has_java else _STOP_SECONDS)),
        ("LimitNOFILE", str(_DESCRIPTORS_MAX)),
    ]


def _starting_again(options: UnitOptions) -> list[Directive]:
    """What the exit codes of our nodes mean, as the supervisor has it.

    A store that lacks messages lacks them the next time too. What may come back is waited for without end, with pauses
    that grow where systemd knows how.
    """
    directives = [("RestartPreventExitStatus", str(EXIT_STORE_INCOMPLETE))]
    if options.systemd_version >= _STEPS_SINCE:
        directives += [("RestartSteps", "4"), ("RestartMaxDelaySec", "30")]
    return directives


def _account(model: ClusterModel, home: ClusterHome, options: UnitOptions) -> list[Directive]:
    """Whose processes they are, and which folder they may write."""
    if options.scope is Scope.USER:
        return []
    code = [options.python, *options.code]
    is_below_homes = any(folder in place.parents for folder in _PROTECTED_HOMES for place in (*code, home.root))
    directives = [
        ("ProtectHome", "read-only" if is_below_homes else "yes"),
        *_brought_into_own_folders(code, home.root),
    ]
    if options.run_as is None:
        state = [("StateDirectory", SYSTEM_HOMES.name), ("StateDirectoryMode", model.home_mode)]
        return [("DynamicUser", "yes"), ("User", _DYNAMIC_USER), *state, *directives]
    return [("User", options.run_as), ("ReadWritePaths", path(home.root)), *directives]


def _brought_into_own_folders(code: Sequence[Path], home: Path) -> list[Directive]:
    """What a unit needs of folders of which it has its own, empty ones."""
    tops = {own / file.relative_to(own).parts[0] for file in code for own in _OWN_FOLDERS if own in file.parents}
    directives = [("BindReadOnlyPaths", path(top)) for top in sorted(tops)]
    return [*directives, ("BindPaths", path(home))] if any(own in home.parents for own in _OWN_FOLDERS) else directives
