"""The wheel in an empty environment: the SDK needs three packages, the rest says what it needs."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_NOT_SOURCE = shutil.ignore_patterns(
    ".*_cache", ".auditbus", ".git", ".hypothesis", ".venv", "__pycache__", "*.egg-info", "build"
)
_DATA = ("schemas/actions.toml", "schemas/json/audit-event.v1.schema.json", "py.typed")
_BASE = {"confluent-kafka", "msgspec", "orjson"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel made from that sdist."""
    source = tmp_path_factory.mktemp("source") / "auditbus"
    shutil.copytree(_ROOT, source, symlinks=True, ignore=_NOT_SOURCE)
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--outdir", str(out), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=240)
    if "Could not find a version that satisfies the requirement setuptools" in done.stdout:
        pytest.skip("no package index answers: the build needs a current setuptools")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of an environment with the wheel and its base dependencies alone."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, with_pip=True)
    pip = [
        str(home / "bin/python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    pinned = ["--constraint", str(_ROOT / "constraints.txt")]
    wanted = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    done = subprocess.run(
        [*pip, *pinned, *wanted], capture_output=True, text=True, check=False, timeout=240
    )
    if done.returncode != 0:
        pytest.skip(f"no package index answers: {done.stderr[-300:]}")
    # --no-index: whatever else the wheel asked for could not be found.
    subprocess.run([*pip, "--no-index", str(wheel)], check=True, timeout=120)
    return home / "bin"


def _run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,  # not the repository, whose folders Python would import
        timeout=60,
    )


def test_the_wheel_and_the_sdist_hold_the_data_files(built: Path, wheel: Path) -> None:
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    for path in _DATA:
        assert f"auditbus/{path}" in in_wheel
    assert {"auditbus/deploy/local/kafka/pom.xml"} <= in_wheel
    migrations = {path.name for path in (_ROOT / "schemas/clickhouse").glob("*.sql")}
    assert {f"auditbus/schemas/clickhouse/{name}" for name in migrations} <= in_wheel
    assert any(name.endswith("licenses/LICENSE") for name in in_wheel)
    assert not [name for name in in_wheel if name.startswith(("tests/", "bench/", "schemas/"))]
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        in_sdist = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"LICENSE", "README.md", "pyproject.toml", "schemas/actions.toml"} <= in_sdist


def test_the_wheel_holds_every_module(wheel: Path) -> None:
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    folders = ("console", "deploy", "producers", "runtime", "schemas", "sinks", "streams")
    modules = (path for folder in folders for path in (_ROOT / folder).rglob("*.py"))
    missing = {f"auditbus/{path.relative_to(_ROOT)}" for path in modules} - in_wheel
    assert not missing


def test_the_sdk_loads_three_packages_and_works(bare: Path, tmp_path: Path) -> None:
    program = """
import sys
from importlib.metadata import packages_distributions
from auditbus.producers import AuditProducer, InvalidEvent
with AuditProducer("127.0.0.1:9", options={"log_level": 0}) as producer:
    try:
        producer.emit(action="no spaces")
    except InvalidEvent as refused:
        assert refused.field == "action"
    else:
        raise SystemExit("accepted")
owners = packages_distributions()
loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted({owner for name in loaded for owner in owners.get(name, ())}))
"""
    done = _run(bare / "python", "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) - {"pip", "setuptools"} == {"auditbus", *_BASE}


def test_the_command_says_which_extra_to_install(bare: Path, tmp_path: Path) -> None:
    for command in ([bare / "auditbus"], [bare / "python", "-m", "auditbus.console"]):
        done = _run(Path(command[0]), *map(str, command[1:]), "events", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.strip().endswith("is not installed: pip install 'auditbus[console]'")
        assert "Traceback" not in done.stderr
