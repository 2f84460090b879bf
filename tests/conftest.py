"""Fixtures that every test may use; they live in tests/backends."""

import os

import hypothesis

from auditbus.deploy.local import ports
from tests.backends.fixtures import *  # noqa: F403

# A busy machine is no bug: pytest-timeout bounds a test that hangs.
hypothesis.settings.register_profile("auditbus", deadline=None)
hypothesis.settings.load_profile("auditbus")

# Seconds pass between choosing a port and listening on it: processes of tests that choose at the
# same time must not choose the same.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    share = (ports._HIGHEST - ports._LOWEST) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    ports._LOWEST += share * int(worker.removeprefix("gw"))
    ports._HIGHEST = ports._LOWEST + share
