"""Runs a certified OpenID Connect provider, npm's oidc-provider, kept in the cache."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.kafka.fetch import cache_directory
from auditbus.deploy.local.ports import free_port

_PACKAGE = "oidc-provider@9.13.3"
_SCRIPT = Path(__file__).with_name("provider.mjs")
_START_S = 30.0


@dataclass(frozen=True)
class CertifiedProvider:
    issuer: str
    client_id: str = "auditbus"
    client_secret: str = field(default="a-secret-of-these-tests-alone-0123456789", repr=False)

    def sign_in(self, url: str, login: str, stop_at: str) -> str:
        """Go where a person goes: the login form, the consent; return the address of the callback.

        `url` is where the console sends the browser, `stop_at` how the callback begins.
        """
        with requests.Session() as browser:
            answer = browser.get(url, allow_redirects=False, timeout=10)
            for _ in range(20):
                if answer.is_redirect:
                    target = urljoin(answer.url, answer.headers["location"])
                    if target.startswith(stop_at):
                        return target
                    answer = browser.get(target, allow_redirects=False, timeout=10)
                    continue
                action = re.search(r'action="([^"]+)"', answer.text)
                prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
                assert action, answer.text[:2000]
                assert prompt, answer.text[:2000]
                answer = browser.post(
                    urljoin(answer.url, action[1]),
                    data={"prompt": prompt[1], "login": login, "password": "any"},
                    allow_redirects=False,
                    timeout=10,
                )
        raise AssertionError("the provider sends the browser in circles")


@contextmanager
def certified_provider(
    directory: Path, redirect_uri: str, people: Mapping[str, Mapping[str, Any]]
) -> Iterator[CertifiedProvider]:
    """Yield it; skips the test where it can't run, with the reason."""
    node, modules = shutil.which("node"), _modules()
    if node is None:
        pytest.skip("a real OpenID Connect provider needs Node.js")
    port = free_port()
    provider = CertifiedProvider(f"http://127.0.0.1:{port}")
    log = directory / "provider.log"
    child = Child(
        "provider",
        [
            *(node, str(_SCRIPT), str(modules), str(port), provider.client_id),
            *(provider.client_secret, redirect_uri, json.dumps(people)),
        ],
        log=log,
    )
    child.start()
    try:
        deadline = time.monotonic() + _START_S
        while not _answers(provider.issuer):
            assert child.running, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.1)
        yield provider
    finally:
        child.kill()


def _modules() -> Path:
    kept = cache_directory() / _PACKAGE.replace("@", "-")
    if kept.is_dir():
        return kept / "node_modules"
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("a real OpenID Connect provider needs npm")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        fetched = Path(scratch, "fetched")
        fetched.mkdir()
        done = subprocess.run(
            [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", _PACKAGE],
            cwd=fetched,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        if done.returncode != 0:
            pytest.skip(f"{_PACKAGE} cannot be fetched: {done.stderr[-500:]}")
        if not kept.is_dir():
            fetched.rename(kept)
    return kept / "node_modules"


def _answers(issuer: str) -> bool:
    try:
        url = f"{issuer}/.well-known/openid-configuration"
        return requests.get(url, timeout=2).status_code == 200
    except requests.RequestException:
        return False
