"""The forwarder: pushes audit events to SIEMs, each destination on its own feet.

    Kafka ─▶ delivery (one thread and consumer group a destination)
                lane (one a partition): what is read, sent, settled; watermark: what to commit
                circuit: is the destination up?
             ─▶ sender (a few threads a destination): encode, deliver, dead-letter what is refused

A destination is four things in one file (webhook.py is the model): settings, an encoder, a client,
and how its answers map to `outcomes`. `registry.py` has one line for each.
"""

from auditbus.sinks.siem.destination import Client, DestinationKind, DestinationSettings, Parcel
from auditbus.sinks.siem.encoding import Encoder, Unencodable, encode_json
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
    "Accepted",
    "Blocked",
    "Client",
    "Delivered",
    "DestinationKind",
    "DestinationSettings",
    "Encoder",
    "Failed",
    "Outcome",
    "Parcel",
    "Refusal",
    "Rejected",
    "Unencodable",
    "encode_json",
    "run",
]
