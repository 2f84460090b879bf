"""Publish demo traffic: `python -m auditbus.deploy.local.demo --rate N`.

Where Kafka is, the settings say (`AUDITBUS_KAFKA_*`). Ends on SIGTERM or SIGINT, after what is on
its way has arrived or some seconds have passed. Exit codes: 0 every event was acknowledged, 2
wrong usage or settings, 3 some events never reached Kafka.
"""

import argparse
import sys

from auditbus.deploy.local.demo.publisher import Publisher
from auditbus.deploy.local.demo.traffic import Traffic
from auditbus.producers import AuditProducer
from auditbus.runtime.errors import SettingsError
from auditbus.runtime.kafka import client_config
from auditbus.runtime.logging import configure_logging, get_logger
from auditbus.runtime.settings import KafkaSettings, load_settings
from auditbus.runtime.shutdown import stop_on_signals

_log = get_logger(__name__)

_FLUSH_S = 5.0
"""A supervisor gives ten seconds for everything."""
_OUTAGE_S = 3_600.0
"""So long an event waits for Kafka to come back."""


def main(arguments: list[str] | None = None) -> int:
    """Publish until a signal; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="auditbus.deploy.local.demo",
        description="Publishes believable audit events until it is stopped.",
    )
    parser.add_argument("--rate", type=_rate, default=20.0, help="events per second (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tells the same stories")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        producer = _producer(settings.kafka)
    except SettingsError as error:
        sys.stderr.write(f"auditbus demo: {error}\n")
        return 2
    configure_logging("demo", settings.log)
    stop = stop_on_signals()
    publisher = Publisher(producer, Traffic(options.seed), options.rate)
    _log.info("demo_started", rate=options.rate, topic=settings.kafka.topics.events)
    publisher.run(stop)
    return 0 if publisher.close(_FLUSH_S) else 3


def _producer(kafka: KafkaSettings) -> AuditProducer:
    # The SDK takes the address as an argument and reports and logs errors by itself.
    own = {"bootstrap.servers", "error_cb", "logger"}
    options = {name: value for name, value in client_config(kafka).items() if name not in own}
    return AuditProducer(
        kafka.bootstrap_servers,
        topic=kafka.topics.events,
        client_id="auditbus-demo",
        delivery_timeout_s=_OUTAGE_S,
        options={name: str(value) for name, value in options.items()},
    )


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 100_000:  # noqa: PLR2004 - also refuses NaN
        raise argparse.ArgumentTypeError("must be above 0 and at most 100,000 events per second")
    return rate


if __name__ == "__main__":
    sys.exit(main())
