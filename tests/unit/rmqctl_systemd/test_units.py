"""What the units say; systemd's own tools judge them where they are installed."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from rmqctl.address import Candidate
from rmqctl.cli.profile import resolve_named
from rmqctl.engine.start import StartSpec
from rmqctl.home import SYSTEM_HOMES, ClusterHome
from rmqctl.profile.library import profile_names
from rmqctl.profile.model import ClusterModel, JavaSettings, Node
from rmqctl.systemd.record import Scope
from rmqctl.systemd.unit_file import UnitFile
from rmqctl.systemd.units import UnitOptions, cluster_units
from tests.interop.toolchains import require_tools

PYTHON = Path("/usr/bin/python3")
JAVA = ["/usr/bin/env", "java", "-cp", "/a b/*", "Main", "-c", "/x/broker.conf"]
ANALYZE_SECONDS = 60
SYSTEM_EXPOSURE_MAX = 2.0


def model_of(profile: str, java: bool, broker_ip: str) -> ClusterModel:
    model = resolve_named(profile, Candidate(broker_ip, None, "network", "said so"), [], 0, None, SYSTEM_HOMES)
    if not java:
        return model
    nodes = [replace(node, engine="apache", java=JavaSettings(version="4.5.2")) for node in model.nodes]
    return replace(model, engine="apache", nodes=tuple(nodes))


def spec_of(node: Node, argv: list[str] | None) -> StartSpec:
    conf = str(SYSTEM_HOMES / "rmqctl" / node.name / node.conf_name)
    return StartSpec(node=node.name, kind=node.kind, config_path=conf, log_path="/unused", argv=argv, folder="/tmp")


def units_of(
    profile: str, scope: Scope, *, per_node: bool, java: bool = False, broker_ip: str = "192.0.2.7"
) -> list[UnitFile]:
    model = model_of(profile, java, broker_ip)
    specs = {node.name: spec_of(node, JAVA if java else None) for node in model.nodes}
    options = UnitOptions(scope=scope, per_node=per_node, python=PYTHON)
    return cluster_units(model, ClusterHome(SYSTEM_HOMES, "rmqctl"), specs, options)


def write(units: Sequence[UnitFile], folder: Path) -> list[Path]:
    for unit in units:
        (folder / unit.name).write_text(unit.render())
    return [folder / unit.name for unit in units]


def analyze(*arguments: str | Path, runtime: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(runtime), "LC_ALL": "C.UTF-8"}
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=ANALYZE_SECONDS, check=False, env=environment
    )


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("per_node", [False, True])
@pytest.mark.parametrize("java", [False, True])
def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path, scope: Scope, per_node: bool, java: bool) -> None:
    require_tools("systemd-analyze")
    for profile in profile_names():
        folder = tmp_path / profile
        folder.mkdir()
        files = write(units_of(profile, scope, per_node=per_node, java=java), folder)
        manager = ["--user"] if scope is Scope.USER else []
        done = analyze(*manager, "verify", *files, runtime=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("per_node", [False, True])
@pytest.mark.parametrize("broker_ip", ["192.0.2.7", "127.0.0.1"])
def test_a_system_unit_of_embedded_nodes_is_hardly_exposed(tmp_path: Path, per_node: bool, broker_ip: str) -> None:
    require_tools("systemd-analyze")
    for file in write(units_of("2m-2s", Scope.SYSTEM, per_node=per_node, broker_ip=broker_ip), tmp_path):
        if file.suffix != ".service":
            continue
        done = analyze("security", "--offline=true", file, runtime=tmp_path)
        found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
        assert found is not None, done.stdout + done.stderr
        assert float(found[1]) <= SYSTEM_EXPOSURE_MAX


def test_nodes_start_after_what_they_need_and_stop_with_the_target() -> None:
    target, *nodes = units_of("2m-2s", Scope.SYSTEM, per_node=True)
    sections = {unit.name: dict(unit.sections["Unit"]) for unit in nodes}
    assert dict(target.sections["Unit"])["Wants"].split() == list(sections)
    assert {section["PartOf"] for section in sections.values()} == {"rmqctl-rmqctl.target"}
    nameservers = {f"rmqctl-rmqctl-nameserver-{index}.service" for index in range(2)}
    assert set(sections["rmqctl-rmqctl-broker-a-0.service"]["After"].split()) == nameservers
    after_slave = set(sections["rmqctl-rmqctl-broker-b-1.service"]["After"].split())
    assert after_slave == nameservers | {"rmqctl-rmqctl-broker-b-0.service"}


def test_only_a_cluster_on_loopback_is_cut_off_from_the_network() -> None:
    for broker_ip, is_cut_off in (("127.0.0.1", True), ("192.0.2.7", False)):
        (unit,) = units_of("single", Scope.SYSTEM, per_node=False, broker_ip=broker_ip)
        assert ("IPAddressDeny" in dict(unit.sections["Service"])) is is_cut_off


def test_a_java_node_is_not_waited_for_and_may_compile() -> None:
    unit = units_of("single", Scope.SYSTEM, per_node=True, java=True)[1]
    service = dict(unit.sections["Service"])
    assert service["Type"] == "exec"
    assert "MemoryDenyWriteExecute" not in service
    assert "WatchdogSec" not in service
    assert service["ExecStart"] == '/usr/bin/env java -cp "/a b/*" Main -c /x/broker.conf'


def test_a_unit_of_java_nodes_finds_the_jars_and_the_java_of_its_installer() -> None:
    model = model_of("single", java=True, broker_ip="192.0.2.7")
    found = {}
    for scope in Scope:
        options = UnitOptions(scope=scope, per_node=False, python=PYTHON, java_home="/opt/a jdk")
        (unit,) = cluster_units(model, ClusterHome(SYSTEM_HOMES, "rmqctl"), {}, options)
        found[scope] = [value for key, value in unit.sections["Service"] if key == "Environment"][1:]
    assert found[Scope.SYSTEM] == ["RMQCTL_CACHE=/var/cache/rmqctl", '"JAVA_HOME=/opt/a jdk"']
    assert found[Scope.USER] == ['"JAVA_HOME=/opt/a jdk"']


def test_homes_stay_visible_where_a_link_leads_into_one() -> None:
    model = model_of("single", java=False, broker_ip="192.0.2.7")
    for code, expected in ((PYTHON, "yes"), (Path("/home") / "someone" / "python3", "read-only")):
        options = UnitOptions(scope=Scope.SYSTEM, per_node=False, python=PYTHON, code=(code,))
        (unit,) = cluster_units(model, ClusterHome(SYSTEM_HOMES, "rmqctl"), {}, options)
        assert dict(unit.sections["Service"])["ProtectHome"] == expected


def test_what_lies_in_temporary_folders_is_brought_into_those_of_the_unit() -> None:
    model = model_of("single", java=False, broker_ip="192.0.2.7")
    code = (Path("/tmp/a checkout/.venv/bin/python"), Path("/tmp/a checkout/rmqctl"), Path("/usr/lib/python3"))
    options = UnitOptions(scope=Scope.SYSTEM, per_node=False, python=PYTHON, code=code, run_as="somebody")
    (unit,) = cluster_units(model, ClusterHome(Path("/var/tmp/homes"), "rmqctl"), {}, options)
    bound = [(key, value) for key, value in unit.sections["Service"] if key.startswith("Bind")]
    assert bound == [("BindReadOnlyPaths", '"/tmp/a checkout"'), ("BindPaths", "/var/tmp/homes")]


def test_exit_codes_of_a_node_mean_to_systemd_what_they_mean_to_the_supervisor() -> None:
    model = model_of("single", False, "192.0.2.7")
    specs = {node.name: spec_of(node, None) for node in model.nodes}
    home = ClusterHome(SYSTEM_HOMES, "rmqctl")
    for version, has_steps in ((252, False), (254, True)):
        options = UnitOptions(scope=Scope.SYSTEM, per_node=True, python=PYTHON, systemd_version=version)
        _, *nodes = cluster_units(model, home, specs, options)
        for unit in nodes:
            text = unit.render()
            assert "RestartPreventExitStatus=65\n" in text
            assert ("RestartSteps=" in text) == has_steps
    (java,) = {"RestartPrevent" in unit.render() for unit in units_of("single", Scope.SYSTEM, per_node=True, java=True)}
    assert not java
