"""The forwarder: pushes audit events to SIEMs, each destination on its own feet.

    Kafka ─▶ delivery (one thread and consumer group a destination)
                lane (one a partition): what is read, sent, settled; watermark: what to commit
                circuit: is the destination up?
             ─▶ sender (a few threads a destination): encode, deliver, dead-letter what is refused

A destination is three things in one file of `destinations/` (webhook.py is the model): settings, a
client, and how its answers map to `outcomes`. `registry.py` has one line for each. `encodings/` has
the forms that events may take.
"""

from auditbus.sinks.siem.destination import Client, DestinationKind, DestinationSettings, Parcel
from auditbus.sinks.siem.encodings import ENCODINGS, Encoder, Encoding, Event, Unencodable
from auditbus.sinks.siem.forwarder import run
from auditbus.sinks.siem.outcomes import (
    Accepted,
    Blocked,
    Delivered,
    Failed,
    Outcome,
    Refusal,
    Rejected,
)

__all__ = [
    "ENCODINGS",
    "Accepted",
    "Blocked",
    "Client",
    "Delivered",
    "DestinationKind",
    "DestinationSettings",
    "Encoder",
    "Encoding",
    "Event",
    "Failed",
    "Outcome",
    "Parcel",
    "Refusal",
    "Rejected",
    "Unencodable",
    "run",
]
