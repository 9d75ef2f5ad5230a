"""Which cluster a command means. Nothing is guessed.

An explicit `--cluster` or `--nameserver` beats the environment variable NAMESRV_ADDR, which beats the only local
cluster that runs. Two running clusters and none named is an error that lists them.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqctl.home import ClusterHome, all_cluster_homes, homes_roots


class Target(msgspec.Struct, frozen=True):
    """The cluster that a command talks to."""

    nameservers: tuple[str, ...]
    """`ip:port` or `host:port` of each nameserver, at least one."""
    reason: str
    """Why this one, in words: for narration and for questions before something is destroyed."""
    cluster: str | None = None
    """Name of the local cluster; None for a cluster known only by its nameservers."""
    remap: Mapping[str, str] = {}
    """From addresses that brokers advertise to those under which they are reached."""

    def __str__(self) -> str:
        addresses = ";".join(self.nameservers)
        return f"cluster {self.cluster} ({addresses})" if self.cluster else f"the cluster at {addresses}"


def resolve_target(
    *,
    cluster: str | None,
    nameserver: str | None,
    home: Path | None,
    environment: Mapping[str, str] = os.environ,
) -> Target:
    """Find the nameservers of the cluster that is meant.

    Raises:
        UsageError: both options given, an address that is none, or several clusters run and none was named.
        RmqctlError: the named cluster does not run, or none does (exit code 3).
    """
    if cluster and nameserver:
        raise UsageError("--cluster and --nameserver were both given", "each of them names a cluster", "give one")
    if nameserver:
        return Target(parse_nameservers(nameserver, "--nameserver"), "--nameserver")
    roots = homes_roots(home, environment)
    if cluster:
        return _target_of_home(_running_home(roots, cluster), "--cluster")
    if environment.get("NAMESRV_ADDR"):
        return Target(parse_nameservers(environment["NAMESRV_ADDR"], "NAMESRV_ADDR"), "NAMESRV_ADDR")
    return _target_of_home(_only_running_home(roots), "the only local cluster that runs")


def choose_local_home(cluster: str | None, home: Path | None, default: str) -> ClusterHome:
    """The home that a command about local nodes means: the named one, else the only running one, else `default`.

    Raises:
        UsageError: several clusters run and none was named.
    """
    roots = homes_roots(home)
    if cluster:
        return _home_called(cluster, roots)
    running = _running_homes(roots)
    if len(running) > 1:
        raise _several_run(running)
    return running[0] if running else _home_called(default, roots)


def parse_nameservers(text: str, source: str) -> tuple[str, ...]:
    """Split a list of nameserver addresses, which may be separated by `;` or `,`.

    Raises:
        UsageError: an address is not `host:port`, or there is none.
    """
    from rmqctl.client.addresses import parse_nameservers as parse_list
    from rmqctl.client.errors import InvalidArgument

    try:
        return parse_list(text)
    except InvalidArgument as error:
        raise UsageError(f"{source}: {error.what}", error.why, error.cure) from None


def _home_called(cluster: str, roots: Sequence[Path]) -> ClusterHome:
    """The home of that name in which a cluster was brought up, of several the one that runs; else where it would be."""
    homes = [ClusterHome(root, cluster) for root in roots]
    known = [home for home in homes if home.cluster_file.is_file()] or homes
    return known[0] if len(known) == 1 else next(filter(_runs, known), known[0])


def _running_home(roots: Sequence[Path], cluster: str) -> ClusterHome:
    chosen = _home_called(cluster, roots)
    if _runs(chosen):
        return chosen
    is_known = chosen.cluster_file.is_file()
    why = f"its home is {chosen.folder}" if is_known else f"there is no home of that name in {_in_words(roots)}"
    raise RmqctlError(f"cluster {cluster} is not running", why, f"rmqctl up --cluster {cluster}", ExitCode.UNREACHABLE)


def _only_running_home(roots: Sequence[Path]) -> ClusterHome:
    running = _running_homes(roots)
    if len(running) > 1:
        raise _several_run(running)
    if not running:
        raise RmqctlError(
            "no cluster is running and none was named",
            f"nothing runs of the homes in {_in_words(roots)}, and NAMESRV_ADDR is not set",
            "rmqctl up, or name nameservers with --nameserver IP:PORT",
            ExitCode.UNREACHABLE,
        )
    return running[0]


def _running_homes(roots: Sequence[Path]) -> list[ClusterHome]:
    return [home for home in all_cluster_homes(roots) if _runs(home)]


def _in_words(roots: Sequence[Path]) -> str:
    return " and ".join(map(str, roots))


def _runs(home: ClusterHome) -> bool:
    """Nodes go on serving when their supervisor is killed, and may be units of systemd, so they count too."""
    if home.is_supervised():
        return True
    # Only now: processes and units take longer to load than the lock, which answers nearly always.
    from rmqctl.supervisor.nodes.orphans import find_orphans
    from rmqctl.systemd.record import load_installation

    if find_orphans(home):
        return True
    installation = load_installation(home)
    if installation is None or not installation.is_per_node:
        return False
    from rmqctl.systemd.systemctl import is_active

    return is_active(installation)


def _several_run(running: list[ClusterHome]) -> UsageError:
    names = [home.name for home in running]
    if len(set(names)) < len(names):
        # One's own and the system's may be called the same.
        where = ", ".join(str(home.folder) for home in running)
        return UsageError(
            "several clusters are running and none was named",
            f"these run: {where}",
            f"say which one: --home {running[0].root} --cluster {running[0].name}",
        )
    return UsageError(
        "several clusters are running and none was named",
        f"these run: {', '.join(names)}",
        f"say which one: --cluster {running[0].name}",
    )


def _target_of_home(home: ClusterHome, reason: str) -> Target:
    from rmqctl.profile.stored import load_cluster

    return Target(load_cluster(home).model.nameserver_addresses, reason, home.name)
