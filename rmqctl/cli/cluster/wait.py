"""`rmqctl wait`: return when a cluster serves; for scripts and for what starts beside it."""

import time

from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption, TimeoutOption
from rmqctl.cli.output import narrate, print_json
from rmqctl.errors import ExitCode, RmqctlError, UnreachableError
from rmqctl.home import DEFAULT_CLUSTER, ClusterHome
from rmqctl.supervisor.control.client import ask_status
from rmqctl.target import choose_local_home

_POLL_SECONDS = 0.05


def wait(
    timeout: TimeoutOption = 30.0,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> int:
    """Wait until every node of a cluster serves. Somebody else may still have to bring it up."""
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    begun = time.monotonic()
    state, problems = _state(chosen)
    while state != "running":
        if time.monotonic() - begun > timeout:
            raise RmqctlError(
                f"cluster {chosen.name} is {state} after {timeout:g} s",
                "\n".join(problems) or None,
                "rmqctl status",
                ExitCode.TIMEOUT,
            )
        time.sleep(_POLL_SECONDS)
        state, problems = _state(chosen)
    seconds = time.monotonic() - begun
    if json_output:
        print_json({"cluster": chosen.name, "state": state, "seconds": round(seconds, 3)})
    else:
        narrate(f"cluster {chosen.name} is running")
    return ExitCode.DONE


def _state(home: ClusterHome) -> tuple[str, list[str]]:
    """State and problems; a supervisor that does not answer is on its way up or down."""
    if not home.is_supervised():
        return "not running", [f"no supervisor runs for {home.folder}"]
    try:
        report = ask_status(home)
    except UnreachableError as error:
        return "unreachable", [error.what]
    return report.state, report.problems
