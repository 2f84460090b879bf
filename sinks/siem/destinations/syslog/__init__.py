"""Syslog: RFC 5424 messages over TLS (RFC 5425), TCP (RFC 6587) or UDP (RFC 5426).

    settings   what the operator says; wrong combinations are refused at start
    message    an event's header, structured data and cap around the encoding
    stream     one TCP or TLS connection: what the peer's kernel acknowledged, whether it closed
    tail       what was sent lately and may be unread
    client     batches over one connection, in order; what an error means

Written here because the formatters on PyPI are `logging` handlers for one record at a time without
acknowledgement, the best known of them (rfc5424-logging-handler) last released in 2019.

What is promised. The protocol has no acknowledgement. Over TLS and TCP an event counts as delivered
once the receiver's kernel has acknowledged its bytes and the connection was still open after that.
The receiver may die with them unread. So the last `tail_bytes` that were sent are kept, and sent
again, in order and before anything new, when the connection ends within 5 s of sending them,
whatever ended it. Lost is then only
  - what the receiver had read or its kernel had buffered beyond `tail_bytes`, or for longer than
    5 s, without storing it, when it died;
  - the tail, where this process ends and the receiver dies within those 5 s.
Repeats are possible; `id` in the structured data is the key to deduplicate by. Order for each
account is that of one connection; what is sent again comes in order, too. UDP promises nothing.
"""

from __future__ import annotations

from auditbus.sinks.siem.destination import DestinationKind
from auditbus.sinks.siem.destinations.syslog.client import SyslogClient
from auditbus.sinks.siem.destinations.syslog.message import message_encoder
from auditbus.sinks.siem.destinations.syslog.settings import SyslogSettings

__all__ = ["KIND", "SyslogClient", "SyslogSettings"]

KIND = DestinationKind(
    settings=SyslogSettings, connect=SyslogClient, ordered=True, encoder=message_encoder
)
