"""Which real parts the integration tests run on: containers, or the embedded ones of local mode.

`AUDITBUS_TEST_BACKEND` is `auto` (containers where a Docker engine answers, else local),
`containers` or `local`. With `AUDITBUS_TEST_REQUIRE_PARTS=1`, as CI sets it, a test whose real part
is not there fails instead of being skipped: a run that proved nothing must not look green.
"""

import gc
import os
import warnings
from enum import StrEnum
from types import ModuleType
from typing import NoReturn

import pytest


class Backend(StrEnum):
    CONTAINERS = "containers"
    LOCAL = "local"


def absent(reason: str) -> NoReturn:
    """End a test for want of a real part: skip it, or fail it where parts are required."""
    if os.environ.get("AUDITBUS_TEST_REQUIRE_PARTS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def select_backend() -> Backend:
    """The backend of this run; skips where containers are demanded and no engine answers."""
    wanted = os.environ.get("AUDITBUS_TEST_BACKEND", "auto")
    if wanted == "auto":
        return Backend.LOCAL if engine_fault() else Backend.CONTAINERS
    backend = Backend(wanted)
    if backend is Backend.CONTAINERS and (fault := engine_fault()):
        absent(f"AUDITBUS_TEST_BACKEND=containers, but no Docker engine answers: {fault}")
    return backend


def engine_fault() -> str | None:
    """Why no Docker engine answers, or None where one does."""
    try:
        import docker
    except ImportError as error:
        return str(error)
    with warnings.catch_warnings():
        # Docker's client leaves its socket open where nobody listens; this collects it quietly.
        warnings.simplefilter("ignore", ResourceWarning)
        fault = _ping(docker)
        gc.collect()
    return fault


def _ping(docker: ModuleType) -> str | None:
    try:  # making a client asks the engine for its version
        client = docker.from_env(timeout=3)
    except docker.errors.DockerException as error:
        return str(error)
    client.close()
    return None
