"""auditbus: an audit log as an event stream. Who did what, when, from where, on which device."""

__version__ = "0.1.0"
