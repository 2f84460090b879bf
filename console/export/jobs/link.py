"""Links to a file that expire: signed (HMAC, RFC 2104) for one export, its owner and a moment.

A link alone opens nothing: who follows it must be signed in as the one who asked for the export.
"""

from __future__ import annotations

import hashlib
import hmac

from auditbus.console.export.jobs.job import Job

__all__ = ["link_signature", "link_stands"]


def link_signature(job: Job, expires_s: int) -> str:
    """Return the signature of a link that holds until `expires_s`, seconds since 1970."""
    said = f"{job.id}\n{job.owner}\n{expires_s}".encode()
    return hmac.new(bytes.fromhex(job.link_key), said, hashlib.sha256).hexdigest()


def link_stands(job: Job, expires_s: int, signature: str, now_s: float) -> bool:
    """Return whether it is a link of ours that has not expired. Compares in constant time."""
    genuine = hmac.compare_digest(link_signature(job, expires_s).encode(), signature.encode())
    return genuine and now_s < expires_s
