"""Fixtures that every test may use; they live in tests/backends."""

from tests.backends.fixtures import *  # noqa: F403
