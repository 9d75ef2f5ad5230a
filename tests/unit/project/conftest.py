"""What the packaging tests share: the checkout, copies of it, and a wheelhouse, so that they need no network.

The wheelhouse is made from the packages that are installed here already: each is packed into a wheel again. So a real
pip installs into really empty environments, and finds exactly the versions that the other tests ran with.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[3]
PARTS_OF_A_CHECKOUT = (
    "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "rmqctl", "node", "profiles", "scripts",
)  # fmt: skip
USUAL_TOOLS = (
    "cat", "cksum", "date", "dirname", "grep", "ln", "mkdir", "mv", "ps", "readlink", "rm", "rmdir", "sh", "sleep",
    "tail", "tr", "uname",
)  # fmt: skip
"""All that scripts/rmqctl may call besides Python: what every Linux and macOS brings."""
NOT_PART_OF_A_WHEEL = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"}

CopyCheckout = Callable[[Path], Path]


@pytest.fixture(scope="session")
def checkout() -> Path:
    return CHECKOUT


@pytest.fixture(scope="session")
def copy_checkout() -> CopyCheckout:
    """Copies what a fresh clone holds, as far as installing needs it."""

    def copy(to: Path) -> Path:
        to.mkdir(parents=True)
        for name in PARTS_OF_A_CHECKOUT:
            source = CHECKOUT / name
            if source.is_dir():
                shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, to / name)
        return to

    return copy


@pytest.fixture(scope="session")
def base_python() -> str:
    """The interpreter that this test environment was made from, free of its packages."""
    return str(getattr(sys, "_base_executable", sys.executable))


@pytest.fixture(scope="session")
def usual_tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH that holds the usual tools and no Python."""
    folder = tmp_path_factory.mktemp("usual-tools")
    for tool in USUAL_TOOLS:
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    return folder


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of every package that building and running rmqctl needs."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    for package in _with_dependencies(["rmqctl", "hatchling", "editables"]):
        if package.name != "rmqctl":
            _pack_wheel(package, folder)
    return folder


@pytest.fixture(scope="session")
def clean_environ(wheelhouse: Path, base_python: str) -> dict[str, str]:
    """Environment variables under which pip knows the wheelhouse and nothing else."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "PYTHON", "RMQCTL_", "COV_", "NAMESRV_"))
    }
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": wheelhouse.as_uri(),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_COMPILE": "1",
        "RMQCTL_PYTHON": base_python,
    }


@pytest.fixture(scope="session")
def built_wheel(copy_checkout: CopyCheckout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the project, built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("build")
    subprocess.run(
        [sys.executable, "-P", "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", "."],
        cwd=copy_checkout(folder / "checkout"),
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def _with_dependencies(names: Sequence[str]) -> Iterator[Distribution]:
    """The named packages and all that they depend on here, each once."""
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        package = distribution(name)
        yield package
        for line in package.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)


def _pack_wheel(package: Distribution, folder: Path) -> None:
    lines = (package.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(":")[2].strip().split("-") for line in lines if line.startswith("Tag:")]
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    name = package.name.replace("-", "_")
    files = [
        file
        for file in package.files or ()
        if not (".." in file.parts or file.suffix == ".pyc" or file.name in NOT_PART_OF_A_WHEEL)
    ]
    dist_info = next(file.parts[0] for file in files if file.parts[0].endswith(".dist-info"))
    record = [f"{file.as_posix()},," for file in files] + [f"{dist_info}/RECORD,,"]
    with zipfile.ZipFile(folder / f"{name}-{package.version}-{tag}.whl", "w") as wheel:
        for file in files:
            wheel.write(str(file.locate()), file.as_posix())
        wheel.writestr(f"{dist_info}/RECORD", "\n".join(record) + "\n")
