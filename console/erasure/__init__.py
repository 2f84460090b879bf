"""Erasing a person: that something happened stays in the log, who it was goes."""

from auditbus.console.erasure.matching import Matched, matched
from auditbus.console.erasure.rewriting import Erasure, erase

__all__ = ["Erasure", "Matched", "erase", "matched"]
