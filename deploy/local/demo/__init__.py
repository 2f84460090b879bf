"""Demo traffic for a first look: `python -m auditbus.deploy.local.demo --rate N`."""

from auditbus.deploy.local.demo.traffic import Traffic

__all__ = ["Traffic"]
