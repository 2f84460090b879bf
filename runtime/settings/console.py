"""Settings of the console: who may come in, and what it exports by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, model_validator

from auditbus.runtime.settings.section import Origins, Section, Words

__all__ = [
    "ConsoleSettings",
    "OidcRule",
    "OidcSettings",
    "ScheduleName",
    "ScheduledExportSettings",
]

_Role = Literal["member", "auditor", "administrator"]


class OidcRule(Section):
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


class OidcSettings(Section):
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
    scopes: Words = ("openid", "profile", "email")
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


class ScheduledExportSettings(Section):
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
    columns: Words = ()
    """Columns added to the screen's nine, in CSV and Parquet. Default: all."""
    endpoint: str = Field("", pattern=r"^(https?://\S+)?$")
    """Address of an S3-compatible store, where it is not Amazon's."""
    region: str = "us-east-1"
    """Region of the S3 bucket."""
    account: Words = ()
    """Ids of accounts."""
    user: Words = ()
    """Users."""
    action: Words = ()
    """Actions."""
    category: Words = ()
    """Categories."""
    outcome: Words = ()
    """Outcomes."""
    ip: Words = ()
    """Addresses or networks."""
    country: Words = ()
    """Countries."""
    device: Words = ()
    """Devices."""
    error: Words = ()
    """Error codes, or parts of messages."""
    target: Words = ()
    """Ids, names or types of targets."""
    text: str = ""
    """Words."""


ScheduleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class ConsoleSettings(Section):
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
    allowed_hosts: Words = ()
    """Further host names it answers to, separated by commas. IP addresses and localhost always."""
    trusted_proxies: Words = ()
    """Addresses or networks of reverse proxies whose X-Forwarded-For and -Proto are believed."""
    embed_origins: Origins = ()
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
    scheduled_exports: dict[ScheduleName, ScheduledExportSettings] = Field(default_factory=dict)
    """Exports made again and again, in auditbus.toml as [console.scheduled_exports.NAME]."""
    oidc: OidcSettings = OidcSettings()
    """Sign-in by OpenID Connect."""

    @property
    def origin(self) -> str:
        """`public_url`, or where it serves."""
        return self.public_url or f"http://{self.host}:{self.port}"
