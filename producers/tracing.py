"""The link to OpenTelemetry: the trace of the current span. Costs a dictionary look-up without it.

Nothing is imported: a service that traces has loaded `opentelemetry.trace` itself.
"""

from __future__ import annotations

import sys

__all__ = ["current_trace_id"]


def current_trace_id() -> str | None:
    """Return the current span's trace id in 32 hexadecimal digits; None where there is no span."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        span = trace.get_current_span().get_span_context()
    except Exception:  # noqa: BLE001 -- half-imported, or another's package: never cost an event
        return None
    return f"{span.trace_id:032x}" if span.is_valid else None
