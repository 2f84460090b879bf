"""What must hold for every file that is tracked, and for no file in particular."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PUBLIC = ("schemas", "runtime", "producers", "streams", "sinks", "console", "deploy")
# In two parts each, so that this file does not name them.
_REGISTRIES = tuple(
    "".join(parts)
    for parts in (
        ("pypi", ".org"),
        ("files.python", "hosted.org"),
        ("repo1.", "maven.org"),
        ("repo.maven.", "apache.org"),
        ("registry.", "npmjs.org"),
        ("proxy.", "golang.org"),
        ("docker", ".io"),
        ("quay", ".io"),
        ("ghcr", ".io"),
    )
)
_OUTSIDE = ("../" + "shared", "/work/" + "shared", "/tmp/" + "lab")


def _tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=_ROOT, capture_output=True, check=False, timeout=30
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout: which files are tracked is not known")
    names = done.stdout.decode().split("\0")[:-1]
    return [path for name in names if (path := _ROOT / name).is_file() and not path.is_symlink()]


def _texts() -> dict[str, str]:
    return {
        str(path.relative_to(_ROOT)): path.read_text(encoding="utf-8", errors="replace")
        for path in _tracked()
    }


def test_no_file_names_a_registry() -> None:
    """Each place fetches from where it is told to, often a mirror."""
    pattern = re.compile("|".join(map(re.escape, _REGISTRIES)))
    found = {name: pattern.findall(text) for name, text in _texts().items()}
    assert {name: hosts for name, hosts in found.items() if hosts} == {}


def test_no_file_refers_to_what_lies_outside_the_repository() -> None:
    texts = _texts().items()
    assert [name for name, text in texts if any(path in text for path in _OUTSIDE)] == []


def test_no_file_holds_what_looks_like_a_private_key() -> None:
    begin = re.compile("-----BEGIN [A-Z ]*" + "PRIVATE KEY-----")
    assert [name for name, text in _texts().items() if begin.search(text)] == []


def test_no_generated_file_is_tracked() -> None:
    generated = re.compile(r"__pycache__|\.pyc$|\.egg-info|^\.venv/|^\.auditbus/|^build/|^dist/")
    assert [name for name in _texts() if generated.search(name)] == []


def test_every_package_that_others_import_from_says_what_it_offers() -> None:
    """An `__init__.py` that defines or imports names has `__all__`; others hold a docstring."""
    silent = []
    for folder in _PUBLIC:
        for init in (_ROOT / folder).rglob("__init__.py"):
            body = ast.parse(init.read_text(encoding="utf-8")).body
            assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), init
            offers = any(not isinstance(node, ast.Expr) for node in body)
            names = {
                target.id
                for node in body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            if offers and "__all__" not in names:
                silent.append(str(init.relative_to(_ROOT)))
    assert silent == []
