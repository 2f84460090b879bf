"""The snippets of docs/access.md sign tokens that the console believes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from tests.backends.parts import ClickHouse
from tests.console import console_app, program
from tests.documents import blocks
from tests.identity.viewers import Backend
from tests.store import migrated_client

_CONSOLE = "https://audit.example.com"


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


def _snippet(kind: str) -> str:
    (found,) = (block.text for block in blocks(kind) if block.name.startswith("access.md"))
    return found


def _by_python(private_key: str, kid: str) -> str:
    namespace: dict[str, Any] = {}
    exec(_snippet("python"), namespace)
    return str(namespace["viewer_token"](private_key, kid, "u-7", "acme"))


def _by_node(private_key: str, kid: str, directory: Path) -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    program = directory / "sign.mjs"
    arguments = ", ".join(map(json.dumps, (private_key, kid, "u-7", "acme")))
    program.write_text(f"{_snippet('js')}\nconsole.log(viewerToken({arguments}));\n")
    done = subprocess.run([node, program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_backend_signs_as_the_page_says(store: Client, tmp_path: Path, language: str) -> None:
    backend = Backend()
    app = console_app(store, public_url=_CONSOLE)
    with TestClient(app, _CONSOLE) as client:
        client.headers["authorization"] = program(app).headers["authorization"]
        backend.register(client, role="auditor", any_account=True)
        private_key = backend.key.as_pem(private=True).decode()
        token = (
            _by_python(private_key, backend.kid)
            if language == "python"
            else _by_node(private_key, backend.kid, tmp_path)
        )
        client.headers["authorization"] = f"Bearer {token}"
        asking = client.get("/api/v1/principal").json()
    assert asking["id"] == f"viewer:{backend.kid}:u-7"
    assert (asking["role"], asking["accounts"], asking["actor_id"]) == ("auditor", ["acme"], "u-7")


def test_openssl_makes_a_key_that_is_taken(store: Client, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    for line in _openssl_lines():
        subprocess.run(line.split(), cwd=tmp_path, check=True, capture_output=True, timeout=60)
    public = (tmp_path / "viewer-key.pub.pem").read_text()
    with program(console_app(store)) as administrator:
        answer = administrator.post(
            "/api/v1/viewer-keys", json={"issuer": "x", "public_key": public}
        )
        assert answer.status_code == 201, answer.text
        assert json.loads(answer.json()["public_key"])["crv"] == "Ed25519"


def _openssl_lines() -> list[str]:
    text = (Path(__file__).parents[2] / "docs/access.md").read_text()
    found = [line.strip() for line in text.splitlines() if line.strip().startswith("openssl ")]
    assert len(found) == 2
    return found
