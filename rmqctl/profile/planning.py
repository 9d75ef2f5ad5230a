"""What `up` shall bring up: the options of the command, joined with what the cluster was last time.

A setting survives until it is changed explicitly: without `--profile` the stored profile is used again, without
`--port-offset` the stored ports, without `--broker-ip` the address that was given before; `--set` options and the
choice of an engine survive as long as the profile stays the same.
"""

from pathlib import Path

import msgspec

from rmqctl.address import Candidate, check_broker_ip, detect_address
from rmqctl.errors import RmqctlError
from rmqctl.home import DEFAULT_CLUSTER, ClusterHome, homes_root
from rmqctl.profile.distribution import unpacked_distribution
from rmqctl.profile.java_settings import EngineOptions, check_engine_options
from rmqctl.profile.library import DEFAULT_PROFILE, NamedProfile, load_profile
from rmqctl.profile.model import ClusterModel
from rmqctl.profile.resolve import Circumstances, resolve
from rmqctl.profile.scaling import Scale, scaled
from rmqctl.profile.schema import Profile
from rmqctl.profile.settings import parse_set_options
from rmqctl.profile.stored import StoredCluster, load_cluster_if_any


class UpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said; None for what was left out."""

    profile: str | None = None
    cluster: str | None = None
    home: Path | None = None
    set_options: list[str] | None = None
    engine_options: EngineOptions = EngineOptions()
    broker_ip: str | None = None
    port_offset: int | None = None

    @property
    def asks_for_change(self) -> bool:
        """Whether something was said that could differ from what the cluster is."""
        said = (self.profile, self.set_options, self.broker_ip, self.port_offset is not None)
        return any(said) or self.engine_options.are_given


class ClusterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to bring up, and what there was before."""

    home: ClusterHome
    stored: StoredCluster
    previous: StoredCluster | None

    @property
    def model(self) -> ClusterModel:
        """The cluster to bring up."""
        return self.stored.model


def plan_cluster(options: UpOptions) -> ClusterPlan:
    """Work out the plan. Writes nothing.

    Raises:
        RmqctlError: Something in options, profile or the stored cluster is wrong.
    """
    given = load_profile(options.profile) if options.profile else None
    home = cluster_home(options)
    previous = load_cluster_if_any(home)
    named = given or _previous_profile(previous) or load_profile(DEFAULT_PROFILE)
    return _plan(
        options,
        home,
        previous,
        named,
        _set_options(options, named, previous),
        _engine_options(options, named, previous),
        _address(options, previous),
    )


def plan_running(options: UpOptions, running: StoredCluster) -> ClusterPlan:
    """Work out what a cluster that runs shall become: as `plan_cluster`, but clients are told the same address.

    Raises:
        RmqctlError: As `plan_cluster`; or something cannot change while the cluster runs.
    """
    if options.port_offset is not None and options.port_offset != running.model.port_offset:
        raise RmqctlError(
            "the port offset cannot be changed while the cluster runs",
            f"it is {running.model.port_offset}, and every node and every client would have to follow",
            "rmqctl down, then rmqctl up --port-offset",
        )
    given = load_profile(options.profile) if options.profile else None
    named = given or NamedProfile(running.model.profile, running.profile)
    return _plan(
        options,
        cluster_home(options),
        running,
        named,
        _set_options(options, named, running),
        _engine_options(options, named, running),
        check_broker_ip(options.broker_ip) if options.broker_ip else _address_of(running),
    )


def plan_scaled(home: ClusterHome, running: StoredCluster, scale: Scale) -> ClusterPlan:
    """Work out a cluster with other numbers of nodes; everything else stays. Raises RmqctlError."""
    named = scaled(NamedProfile(running.model.profile, running.profile), scale)
    options = UpOptions(cluster=home.name, home=home.root)
    address = _address_of(running)
    return _plan(options, home, running, named, running.set_options, running.engine_options, address)


def _address_of(running: StoredCluster) -> Candidate:
    return Candidate(running.model.broker_ip, None, "network", running.model.broker_ip_reason)


def _plan(
    options: UpOptions,
    home: ClusterHome,
    previous: StoredCluster | None,
    named: NamedProfile,
    set_options: list[str],
    engine_options: EngineOptions,
    address: Candidate,
) -> ClusterPlan:
    check_engine_options(engine_options, named.profile)
    port_offset = _port_offset(options, previous)
    same_offset = previous is not None and previous.model.port_offset == port_offset
    model = resolve(
        named.profile,
        Circumstances(
            folder=home.folder,
            cluster=home.name,
            source=named.source,
            broker_ip=address.address,
            broker_ip_reason=address.reason,
            port_offset=port_offset,
            settings=tuple(parse_set_options(set_options)),
            engine_options=engine_options,
            distribution_version=_distribution_version(engine_options, named.profile),
            stored_ports=previous.ports if previous is not None and same_offset else {},
        ),
    )
    stored = StoredCluster(
        broker_ip_given=options.broker_ip is not None or (previous is not None and previous.broker_ip_given),
        set_options=set_options,
        engine_options=engine_options,
        profile=named.profile,
        model=model,
    )
    return ClusterPlan(home=home, stored=stored, previous=previous)


def cluster_home(options: UpOptions) -> ClusterHome:
    """The home that is meant: `--cluster`, else the name in the profile, else the default; raises ProfileError."""
    name = options.cluster
    if name is None:
        name = load_profile(options.profile).profile.cluster.name if options.profile else DEFAULT_CLUSTER
    return ClusterHome(homes_root(options.home), name)


def _previous_profile(previous: StoredCluster | None) -> NamedProfile | None:
    return None if previous is None else NamedProfile(previous.model.profile, previous.profile)


def _set_options(options: UpOptions, named: NamedProfile, previous: StoredCluster | None) -> list[str]:
    if options.set_options is not None:
        return options.set_options
    if previous is not None and previous.model.profile == named.source:
        return previous.set_options
    return []


def _engine_options(options: UpOptions, named: NamedProfile, previous: StoredCluster | None) -> EngineOptions:
    if previous is None or previous.model.profile != named.source:
        return options.engine_options
    return previous.engine_options.changed_by(options.engine_options)


def _distribution_version(options: EngineOptions, profile: Profile) -> str | None:
    """The version of the unpacked distribution that is asked for; None without one."""
    home = profile.apache.rocketmq_home if options.rocketmq_home is None else options.rocketmq_home
    if not home or options.version or options.engine == "embedded":
        return None
    return unpacked_distribution(home).version


def _port_offset(options: UpOptions, previous: StoredCluster | None) -> int:
    if options.port_offset is not None:
        return options.port_offset
    return previous.model.port_offset if previous is not None else 0


def _address(options: UpOptions, previous: StoredCluster | None) -> Candidate:
    if options.broker_ip:
        return check_broker_ip(options.broker_ip)
    if previous is not None and previous.broker_ip_given:
        return Candidate(previous.model.broker_ip, None, "network", previous.model.broker_ip_reason)
    return detect_address()
