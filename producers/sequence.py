"""The stamp that proves completeness: `producer` {service, version, instance, epoch, seq}.

`seq` counts from 1 for each (instance, epoch), in the order of the queue and without a gap over
everything that was accepted: a gap in what is stored is a loss. It is spliced onto the encoded
event, so that it can be counted under the queue's lock without encoding there.
"""

from __future__ import annotations

import re
import secrets
import time

import orjson

__all__ = ["Stamp"]

_MAX_SEQ_DIGITS = 16  # 2**53: what every JSON reader holds


class Stamp:
    """The identity of one producer in one process, ready to be spliced onto its events."""

    __slots__ = ("_head", "epoch", "instance", "max_bytes")

    def __init__(self, service: str | None, version: str | None, instance: str | None) -> None:
        """`instance` is made up where it is None. The epoch is now, in µs since 1970."""
        self.instance = instance if instance is not None else secrets.token_hex(8)
        self.epoch = time.time_ns() // 1000  # below 2**53 until the year 2255
        given = {"service": service, "version": version, "instance": self.instance}
        identity = {name: text for name, text in given.items() if text is not None}
        encoded = orjson.dumps({**identity, "epoch": self.epoch})
        self._head = b',"producer":%b,"seq":' % encoded[:-1]
        self.max_bytes = len(self._head) + _MAX_SEQ_DIGITS + 1

    @property
    def slug(self) -> str:
        """A name for files: unique, and safe whatever the instance is called."""
        return f"{self.epoch}-{re.sub('[^A-Za-z0-9]+', '-', self.instance)[:60]}"

    def splice(self, raw: bytes, seq: int) -> bytes:
        """Return the event `raw`, an object that has no `producer`, with the stamp at its end."""
        return raw[:-1] + (self._head + b"%d}}" % seq)
