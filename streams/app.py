"""The Faust app: the composition root of the stream."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import faust

from auditbus.runtime.errors import SettingsError, TopicMisconfigured
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import KafkaSettings, Settings
from auditbus.runtime.topic_admin import check_timestamp_type, describe_topics
from auditbus.runtime.topic_watch import TopicWatch
from auditbus.schemas.catalogue import Catalogue
from auditbus.streams.agent import EnrichmentAgent
from auditbus.streams.enrichment import DeviceLookup, LocationLookup, default_city_path
from auditbus.streams.enrichment.splice import Enricher
from auditbus.streams.publisher import Publisher
from auditbus.streams.routing import Router
from auditbus.streams.transport import SCHEME, BatchSchema

__all__ = ["CONSUMER_GROUP", "StreamApp", "build_app"]

CONSUMER_GROUP = "stream"
# Tansu does not tell a default; this is Kafka's.
_KAFKAS_MAX_MESSAGE_BYTES = 1_048_588
# Batches in the agent's queue; the records of each are already in memory.
_QUEUED_BATCHES = 8
_POLL_RECORDS = 5_000
_CHECK_TOPIC_S = 1.0
# librdkafka gives up on a record after this; the worker then ends and its successor reads again.
_PUBLISH_TIMEOUT_MS = 60_000


class StreamApp(faust.App):
    """A Faust app that says which topics arrive in batches.

    `has_joined` is set with the first assignment: until then the group may wait for a killed member
    to time out, which Faust does not count as a rebalance.
    """

    batch_topics: frozenset[str] = frozenset()
    has_joined: bool = False
    logger = logging.getLogger("faust.app")  # what Faust says of it is not the stream's own word


def build_app(settings: Settings, watch: TopicWatch) -> StreamApp:
    """Return the app, checked against the cluster and ready to be run by a Faust worker.

    It ends when `watch` finds the raw topic gone or another one: Faust would wait, idle.
    Blocks until the brokers have described the topics. Raises KafkaUnreachable,
    TopicMisconfigured, SettingsError, CatalogueError, MissingExtra.
    """
    kafka, topics = settings.kafka, settings.kafka.topics
    max_enriched_bytes = _check_topics(kafka)
    locations = LocationLookup(
        settings.stream.geoip_city or default_city_path(), settings.stream.geoip_asn
    )
    enricher = Enricher(
        Catalogue.load(settings.catalogue),
        locations,
        DeviceLookup(),
        operator_account=settings.operator_account,
    )
    publisher = Publisher(_producer(kafka), topics)
    app = _faust_app(settings)
    agent = EnrichmentAgent(
        Router(
            enricher,
            publisher,
            max_enriched_bytes=max_enriched_bytes,
            require_log_append_time=kafka.require_log_append_time,
        ),
        publisher,
        flush_events=settings.stream.flush_events,
        on_failure=app.crash,
    )
    raw = app.topic(topics.events, schema=BatchSchema(), maxsize=_QUEUED_BATCHES)

    async def enrich(stream: Any) -> None:
        """Locate, identify the device, route."""
        await agent.run(stream)

    async def reload_location_databases() -> None:
        """Take over a replaced database file; blocks for its copy, so in a thread."""
        await asyncio.to_thread(locations.maybe_reload)

    async def check_topic() -> None:
        """End the worker, so that its successor says what is missing or reads the new topic."""
        try:
            watch.check()
        except TopicMisconfigured as error:
            await app.crash(error)

    app.agent(raw, name="enrich")(enrich)
    app.timer(_CHECK_TOPIC_S)(check_topic)
    app.timer(settings.stream.geoip_reload_s)(reload_location_databases)
    return app


def _check_topics(kafka: KafkaSettings) -> int:
    """Refuse to start on missing or endangered topics; return the enriched topic's size limit."""
    admin = new_admin(kafka)
    check_timestamp_type(admin, kafka)
    needed = (kafka.topics.enriched, kafka.topics.signals, kafka.topics.dead_letters)
    states = describe_topics(admin, needed)
    if missing := [name for name in needed if name not in states]:
        raise TopicMisconfigured(f"missing: {', '.join(missing)}; run: auditbus topics create")
    limit = states[kafka.topics.enriched].config.get("max.message.bytes")
    return int(limit or _KAFKAS_MAX_MESSAGE_BYTES)


def _producer(kafka: KafkaSettings) -> Any:
    return new_producer(
        kafka,
        {
            "client.id": "auditbus-stream",
            "delivery.report.only.error": True,
            "message.timeout.ms": _PUBLISH_TIMEOUT_MS,
            "queue.buffering.max.kbytes": 64 * 1024,
        },
    )


def _faust_app(settings: Settings) -> StreamApp:
    kafka, stream = settings.kafka, settings.stream
    directory = settings.data_dir / "stream"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"AUDITBUS_DATA_DIR: {directory} can't be made: {error.strerror}"
        ) from error
    app = StreamApp(
        kafka.group(CONSUMER_GROUP),
        broker=[f"{SCHEME}://{host.strip()}" for host in kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(kafka),
        broker_client_id="auditbus-stream",
        broker_commit_interval=1.0,
        broker_max_poll_records=_POLL_RECORDS,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        consumer_auto_offset_reset="earliest",
        datadir=directory,
        store="memory://",
        # Topics are made by `auditbus topics create`, never as a side effect.
        topic_allow_declare=False,
        topic_disable_leader=True,
        reply_create_topic=False,
        web_enabled=stream.web_port is not None,
        web_bind=stream.health_host,  # Faust's own default is every interface
        web_host=stream.health_host,
        web_port=stream.web_port or 6066,
    )
    app.batch_topics = frozenset({kafka.topics.events})
    return app


def _credentials(kafka: KafkaSettings) -> Any:
    if kafka.security_protocol == "PLAINTEXT":
        return None
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=kafka.ssl_ca_location)
    if kafka.security_protocol == "SSL":
        return faust.SSLCredentials(context=context)
    password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else None
    return faust.SASLCredentials(
        mechanism=kafka.sasl_mechanism or "PLAIN",
        username=kafka.sasl_username,
        password=password,
        ssl_context=context,
    )
