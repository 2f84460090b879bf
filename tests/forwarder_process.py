"""A forwarder as a process of its own, for tests that kill it; configured like any role."""

from auditbus.runtime.logging import configure_logging
from auditbus.runtime.settings import load_settings
from auditbus.runtime.shutdown import stop_on_signals
from auditbus.sinks.siem import run

if __name__ == "__main__":
    stop = stop_on_signals()
    settings = load_settings()
    configure_logging("forwarder", settings.log)
    run(settings, stop, reload=load_settings)
