"""What pyproject.toml says is what lies on the disk."""

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
_PYPROJECT: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text())
_SETUPTOOLS = _PYPROJECT["tool"]["setuptools"]
_FOLDERS = ("console", "deploy", "producers", "runtime", "schemas", "sinks", "streams")


def _packages_on_disk() -> set[str]:
    found = {"auditbus"}
    for folder in _FOLDERS:
        for init in (_ROOT / folder).rglob("__init__.py"):
            found.add(".".join(["auditbus", *init.parent.relative_to(_ROOT).parts]))
    return found


def test_every_package_on_the_disk_is_installed_and_no_other() -> None:
    assert set(_SETUPTOOLS["packages"]) == _packages_on_disk()
    assert _SETUPTOOLS["packages"] == sorted(_SETUPTOOLS["packages"])


def test_no_module_lies_outside_a_package() -> None:
    for folder in _FOLDERS:
        for module in (_ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module


def test_each_top_level_folder_is_mapped_and_linked() -> None:
    mapped = {"auditbus": "src/auditbus", **{f"auditbus.{name}": name for name in _FOLDERS}}
    assert _SETUPTOOLS["package-dir"] == mapped
    links = {
        path.name: path.readlink()
        for path in (_ROOT / "src/auditbus").iterdir()
        if path.is_symlink()
    }
    assert links == {name: Path("../..", name) for name in _FOLDERS}


def test_every_data_file_is_installed() -> None:
    """A file that is no module and that no pattern of package-data names would stay at home."""
    patterns = _SETUPTOOLS["package-data"]
    for package in _packages_on_disk() - {"auditbus"}:
        folder = _ROOT.joinpath(*package.split(".")[1:])
        named = {path for pattern in patterns.get(package, []) for path in folder.glob(pattern)}
        for path in folder.iterdir():
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                assert path in named, f"{path.relative_to(_ROOT)}: name it in package-data"


def test_every_pattern_of_data_files_finds_some() -> None:
    for package, patterns in _SETUPTOOLS["package-data"].items():
        folder = _ROOT / _SETUPTOOLS["package-dir"].get(package, "/".join(package.split(".")[1:]))
        for pattern in patterns:
            assert list(folder.glob(pattern)), f"{package}: {pattern}"


def test_the_base_install_is_the_producer_sdk_alone() -> None:
    names = {re.split(r"[^\w.-]", line)[0] for line in _PYPROJECT["project"]["dependencies"]}
    assert names == {"confluent-kafka", "msgspec", "orjson"}


def test_the_sdk_may_import_nothing_of_the_runtime_but_errors() -> None:
    (forbidden,) = (
        {name for name in contract["forbidden_modules"] if name.startswith("auditbus.runtime.")}
        for contract in _PYPROJECT["tool"]["importlinter"]["contracts"]
        if contract.get("source_modules") == ["auditbus.producers"]
    )
    runtime = _ROOT / "runtime"
    modules = {path.stem for path in runtime.glob("*.py")} - {"__init__", "errors"}
    modules |= {path.parent.name for path in runtime.glob("*/__init__.py")}
    assert forbidden == {f"auditbus.runtime.{module}" for module in modules}


def test_every_dependency_has_a_word_on_why() -> None:
    text = (_ROOT / "pyproject.toml").read_text()
    section = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    unexplained = [
        line.strip()
        for line in section.splitlines()
        if line.strip().startswith('"') and "#" not in line and '"auditbus[' not in line
    ]
    assert unexplained == []


def test_every_direct_dependency_is_pinned_by_the_constraints() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (_ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    extras = _PYPROJECT["project"]["optional-dependencies"].values()
    lines = [*_PYPROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.split(r"[^\w.-]", line)[0].lower() for line in lines} - {"auditbus"}
    assert names <= pinned


@pytest.mark.parametrize("package", sorted(_packages_on_disk()))
def test_what_a_package_offers_exists(package: str) -> None:
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name), f"{package}.{name}"


def test_no_registry_address_is_written_down() -> None:
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        assert "://" not in (_ROOT / name).read_text().replace("http://127.0.0.1", ""), name
