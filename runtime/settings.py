"""Settings: `AUDITBUS_*` variables over `auditbus.toml` over defaults; secrets also as `*_FILE`.

Built once at an entry point by `load_settings` and passed down; nothing reads the environment at
import. A wrong one is refused with its name. docs/configuration.md is generated from here.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from auditbus.runtime.errors import SettingsError
from auditbus.schemas.topics import TopicNames

__all__ = [
    "ClickHouseSettings",
    "ConsoleSettings",
    "ForwarderSettings",
    "KafkaSettings",
    "LogSettings",
    "ScheduledExportSettings",
    "Settings",
    "SinkSettings",
    "StreamSettings",
    "load_settings",
    "variables",
]

_PREFIX = "AUDITBUS_"
# Variables that are not settings of the pipeline: the config file's own path, and tooling.
_NOT_SETTINGS = frozenset({"AUDITBUS_CONFIG", "AUDITBUS_CACHE_DIR"})
_TOOLING_PREFIXES = ("AUDITBUS_TEST_", "AUDITBUS_BENCH_")


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


_Words = Annotated[tuple[str, ...], BeforeValidator(_split)]


_Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.*:\[\]-]+$")]
_Origins = Annotated[tuple[_Origin, ...], BeforeValidator(_split)]


class KafkaSettings(_Section):
    """How to reach Kafka, and how the topics are made."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Brokers, `host:port` separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """SASL mechanism, where the protocol has SASL."""
    sasl_username: str | None = None
    """SASL user."""
    sasl_password: SecretStr | None = None
    """SASL password."""
    ssl_ca_location: Path | None = None
    """File of the certificate authorities that signed the brokers' certificates."""
    topic_prefix: str = ""
    """Put before every topic and consumer group, to keep installations apart on one cluster."""
    partitions: int = Field(12, ge=1, le=10_000)
    """Partitions of the event topics when they are created."""
    replication_factor: int = Field(1, ge=1, le=32)
    """Replicas of each topic when it is created; 3 in production."""
    min_insync_replicas: int = Field(1, ge=1, le=32)
    """Replicas that must have an event before it counts as written; 2 in production."""
    require_log_append_time: bool = True
    """Refuse a raw topic whose timestamps producers may choose. Only Tansu needs false."""

    @property
    def topics(self) -> TopicNames:
        """The topics' names with the prefix."""
        return TopicNames.with_prefix(self.topic_prefix)

    def group(self, name: str) -> str:
        """Return the consumer group called `name`, with the prefix."""
        return f"{self.topic_prefix}{name}"


class ClickHouseSettings(_Section):
    """How to reach ClickHouse over HTTP."""

    url: str = "http://127.0.0.1:8123"
    """Address of ClickHouse's HTTP interface."""
    username: str = "default"
    """User."""
    password: SecretStr | None = None
    """Password; in local mode the token of DIR/endpoints.json."""
    dictionary_user: str = Field("default", min_length=1)
    """Passwordless server user, allowed from the server only, that reads the dictionaries."""
    connect_timeout_s: float = Field(5.0, gt=0)
    """Seconds to wait for a connection."""
    request_timeout_s: float = Field(60.0, gt=0)
    """Seconds to wait for an answer to one request."""


class StreamSettings(_Section):
    """The Faust stream."""

    geoip_city: Path | None = None
    """City database (GeoLite2-City or GeoIP2-City .mmdb). Default: the DB-IP one of the install."""
    geoip_asn: Path | None = None
    """ASN database (GeoLite2-ASN .mmdb), optional."""
    geoip_reload_s: float = Field(10.0, gt=0)
    """Seconds between looks for a replaced database file."""
    flush_events: int = Field(10_000, ge=1)
    """Most events produced before waiting for the brokers' acknowledgement."""
    health_host: str = "127.0.0.1"
    """Address of /healthz, /readyz and /metrics."""
    health_port: int = Field(9101, ge=0, le=65535)
    """Port of /healthz, /readyz and /metrics; 0 takes a free one."""
    web_port: int | None = Field(None, ge=1, le=65535)
    """Port of Faust's own web view; off unless set."""


class SinkSettings(_Section):
    """The ClickHouse sink."""

    batch_rows: int = Field(25_000, ge=1, le=1_000_000)
    """Most events of one insert."""
    batch_bytes: int = Field(32 * 1024 * 1024, ge=1024)
    """Most bytes of one insert."""
    linger_ms: int = Field(250, ge=0)
    """Milliseconds an insert waits for more events."""
    health_host: str = "127.0.0.1"
    """Address of /healthz, /readyz and /metrics."""
    health_port: int = Field(9102, ge=0, le=65535)
    """Port of /healthz, /readyz and /metrics; 0 takes a free one."""


class ForwarderSettings(_Section):
    """The SIEM forwarder. `destinations` maps a name to that destination's own settings."""

    destinations: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Destinations by name, in auditbus.toml as [forwarder.destinations.NAME]."""
    health_host: str = "127.0.0.1"
    """Address of /healthz, /readyz and /metrics."""
    health_port: int = Field(9103, ge=0, le=65535)
    """Port of /healthz, /readyz and /metrics; 0 takes a free one."""
    buffer_mb: int = Field(64, ge=4, le=4096)
    """Most megabytes of events held by all destinations together; each has the same part."""


_Role = Literal["member", "auditor", "administrator"]


class OidcRule(_Section):
    """What people get whose claim has a value; all rules that fit count."""

    claim: str = Field(min_length=1)
    """Claim of the ID token, or of the user info."""
    value: str = Field(min_length=1)
    """Value it must have, or hold where it is a list."""
    role: _Role = "member"
    """Role it gives."""
    accounts: tuple[str, ...] = ()
    """Ids of accounts it gives."""
    organizations: tuple[str, ...] = ()
    """Names of organizations it gives, to auditors."""


class OidcSettings(_Section):
    """Sign-in by OpenID Connect. Off unless `issuer` is set."""

    issuer: str = Field(
        "", pattern=r"^(https://\S+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/\S*)?)?$"
    )
    """Issuer of the provider, exactly as it calls itself; https, but on this machine."""
    name: str = "OpenID Connect"
    """What the button says: Sign in with NAME."""
    client_id: str = ""
    """Client id that the provider gave the console."""
    client_secret: SecretStr | None = None
    """Client secret; none for a public client."""
    client_auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    """How the secret is sent."""
    scopes: _Words = ("openid", "profile", "email")
    """Scopes to ask for."""
    subject_claim: str = Field("sub", min_length=1)
    """Claim by which grants name a person. An `email` counts only when it is verified."""
    name_claim: str = "name"
    """Claim with the name to show."""
    actor_id_claim: str = ""
    """Claim with the person's actor id in the events: who has it sees what was done by it."""
    accounts_claim: str = ""
    """Claim with ids of accounts."""
    organizations_claim: str = ""
    """Claim with names of organizations, for auditors."""
    rules: tuple[OidcRule, ...] = ()
    """What claims give, in auditbus.toml as [[console.oidc.rules]]."""

    @model_validator(mode="after")
    def _complete(self) -> OidcSettings:
        if self.issuer and not self.client_id:
            raise ValueError("client_id is missing")
        return self


_Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}[mhd]$")]


class ScheduledExportSettings(_Section):
    """An export that is made again and again; its name begins the files' names.

    Each holds what was received in one interval of UTC. The filters are those of `auditbus export`.
    """

    to: str = Field(min_length=1)
    """Folder, or object storage: `s3://BUCKET/PREFIX`, `gs://…`, `az://…`."""
    every: _Duration = "1d"
    """Length of an interval in minutes, hours or days: `15m`, `1h`, `1d`."""
    delay: _Duration = "15m"
    """How long after an interval's end it is exported: what was received must have been stored."""
    format: Literal["csv", "ndjson", "parquet"] = "ndjson"
    """What the files hold."""
    compress: Literal["none", "gzip", "zstd"] = "none"
    """How they are compressed; Parquet compresses itself."""
    columns: _Words = ()
    """Columns added to the screen's nine, in CSV and Parquet. Default: all."""
    endpoint: str = Field("", pattern=r"^(https?://\S+)?$")
    """Address of an S3-compatible store, where it is not Amazon's."""
    region: str = "us-east-1"
    """Region of the S3 bucket."""
    account: _Words = ()
    """Ids of accounts."""
    user: _Words = ()
    """Users."""
    action: _Words = ()
    """Actions."""
    category: _Words = ()
    """Categories."""
    outcome: _Words = ()
    """Outcomes."""
    ip: _Words = ()
    """Addresses or networks."""
    country: _Words = ()
    """Countries."""
    device: _Words = ()
    """Devices."""
    error: _Words = ()
    """Error codes, or parts of messages."""
    target: _Words = ()
    """Ids, names or types of targets."""
    text: str = ""
    """Words."""


_ScheduleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class ConsoleSettings(_Section):
    """The audit log screen and the API."""

    host: str = "127.0.0.1"
    """Address to serve at."""
    port: int = Field(8080, ge=1, le=65535)
    """Port of the screen, the API, /healthz, /readyz and /metrics."""
    administrator_token: SecretStr | None = Field(None, min_length=20)
    """First token, with which grants and other tokens are made; in local mode that of DIR/token."""
    query_timeout_s: float = Field(10.0, gt=0)
    """Seconds after which a query of the screen or the API is cut off."""
    query_memory_mib: int = Field(1024, ge=16)
    """Memory in MiB that one such query may take in ClickHouse."""
    requests_per_s: float = Field(50.0, gt=0)
    """Requests to the API a second that one principal may make, over some seconds."""
    simultaneous_requests: int = Field(10, ge=1)
    """Requests to the API of one principal that are answered at once."""
    live_tails: int = Field(20, ge=1)
    """Live tails that one principal may keep open."""
    public_url: str = Field("", pattern=r"^(https?://[^/?#@\s]+)?$")
    """Origin at which people reach it, `https://audit.example.com`. Default: http://HOST:PORT."""
    allowed_hosts: _Words = ()
    """Further host names it answers to, separated by commas. IP addresses and localhost always."""
    trusted_proxies: _Words = ()
    """Addresses or networks of reverse proxies whose X-Forwarded-For and -Proto are believed."""
    embed_origins: _Origins = ()
    """Origins whose pages may show the screen in a frame, `https://app.example.com`."""
    session_hours: float = Field(12, gt=0, le=24 * 30)
    """Hours after which a person must sign in again."""
    retention_grace_hours: float = Field(24, ge=0, le=24 * 90)
    """Hours before a shorter retention takes effect, in which it can be cancelled."""
    spool_dir: Path | None = None
    """Where the console's own events wait while Kafka is down. Default: DATA_DIR/console-spool."""
    exports_dir: Path | None = None
    """Where background exports lie, the same for all consoles. Default: DATA_DIR/exports."""
    exports_keep_hours: float = Field(72, gt=0, le=24 * 366)
    """Hours after which the file of a background export is deleted."""
    exports_disk_mb: int = Field(10_240, ge=1)
    """Most megabytes of all files of background exports together."""
    exports_workers: int = Field(2, ge=1, le=32)
    """Background exports that one console writes at the same time."""
    exports_per_principal: int = Field(3, ge=1, le=1000)
    """Background exports that one person or token may have unfinished."""
    scheduled_exports: dict[_ScheduleName, ScheduledExportSettings] = Field(default_factory=dict)
    """Exports made again and again, in auditbus.toml as [console.scheduled_exports.NAME]."""
    oidc: OidcSettings = OidcSettings()
    """Sign-in by OpenID Connect."""

    @property
    def origin(self) -> str:
        """`public_url`, or where it serves."""
        return self.public_url or f"http://{self.host}:{self.port}"


class LogSettings(_Section):
    """Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["text", "json"] = "text"
    """text for people, json for collectors."""


class Settings(_Section):
    """Everything. Frozen; secrets are hidden from repr."""

    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    stream: StreamSettings = StreamSettings()
    sink: SinkSettings = SinkSettings()
    forwarder: ForwarderSettings = ForwarderSettings()
    console: ConsoleSettings = ConsoleSettings()
    log: LogSettings = LogSettings()
    data_dir: Path = Path(".auditbus")
    """Where local mode keeps its data."""
    operator_account: str = Field("system", min_length=1)
    """Account of events that belong to no tenant."""
    catalogue: Path | None = None
    """TOML file of the operator's own actions."""


# What no variable can say: tables, and lists of tables. Only the file can.
_TABLES = (
    *(dict[str, dict[str, Any]], tuple[OidcRule, ...]),
    dict[_ScheduleName, ScheduledExportSettings],
)


def variables(
    section: type[BaseModel] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Yield every environment variable: its name, the path of its setting, whether it is secret."""
    for key, field in section.model_fields.items():
        inner, here = field.annotation, (*path, key)
        if isinstance(inner, type) and issubclass(inner, _Section):
            yield from variables(inner, here)
        elif inner not in _TABLES:
            yield f"{_PREFIX}{'_'.join(here).upper()}", here, "SecretStr" in str(inner)


def load_settings(
    environ: Mapping[str, str] | None = None, config_file: Path | None = None
) -> Settings:
    """Build the settings. The file is `config_file`, else AUDITBUS_CONFIG, else ./auditbus.toml.

    Raises SettingsError naming the variable or key that is wrong, unknown or unreadable.
    """
    environ = os.environ if environ is None else environ
    values = _read_file(environ, config_file)
    for path, variable, text in _from_environment(environ):
        _put(values, path, text, variable)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _read_file(environ: Mapping[str, str], config_file: Path | None) -> dict[str, Any]:
    named = config_file or (Path(p) if (p := environ.get("AUDITBUS_CONFIG")) else None)
    path = named or Path("auditbus.toml")
    if named is None and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}") from error


def _from_environment(
    environ: Mapping[str, str],
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    known = {name: (path, secret) for name, path, secret in variables()}
    for variable in sorted(environ):
        if not variable.startswith(_PREFIX) or variable in _NOT_SETTINGS:
            continue
        if variable.startswith(_TOOLING_PREFIXES):
            continue
        if variable in known:
            yield known[variable][0], variable, environ[variable]
            continue
        secret = variable.removesuffix("_FILE")
        if variable.endswith("_FILE") and known.get(secret, ((), False))[1]:
            if secret in environ:
                raise SettingsError(f"{secret} and {variable} are both set: keep one")
            yield known[secret][0], variable, _read_secret(variable, environ[variable])
            continue
        near = difflib.get_close_matches(variable, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError(f"{variable} is not a setting{hint}")


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: {error}") from error


def _put(values: dict[str, Any], path: tuple[str, ...], text: str, variable: str) -> None:
    *sections, key = path
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise SettingsError(f"{section} in the settings file must be a table ({variable})")
    values[key] = text


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(str(part) for part in item["loc"])
        variable = _PREFIX + path.replace(".", "_").upper()
        lines.append(f"{path} ({variable}): {item['msg']}")
    return "\n".join(lines)
