"""Fixtures that every test may use; they live in tests/backends."""

import hypothesis

from tests.backends.fixtures import *  # noqa: F403

# A busy machine is no bug: pytest-timeout bounds a test that hangs.
hypothesis.settings.register_profile("auditbus", deadline=None)
hypothesis.settings.load_profile("auditbus")
