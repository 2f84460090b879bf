"""DIR/endpoints.json: where a running pipeline is reached, for commands and for people's own tools.

It exists while the pipeline runs, and holds the store's password: only its owner can read it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from auditbus.deploy.local.errors import NotRunning
from auditbus.runtime.atomic_file import write_atomically

_NAME = "endpoints.json"
_STORE_USER = "default"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of a running pipeline.

    Attributes:
        kafka: HOST:PORT of the broker.
        clickhouse: URL of ClickHouse's HTTP interface.
        token: the console's administrator token, and the password of the embedded store.
        console: URL of the screen and the API; empty where none runs.
        username: ClickHouse's user; `default` is the embedded store's only one.
        password: of a ClickHouse that is not the embedded store; None for the token.
    """

    kafka: str
    clickhouse: str
    token: str
    username: str = _STORE_USER
    console: str = ""
    password: str | None = None

    @property
    def store_password(self) -> str:
        """ClickHouse's password. The token goes to no other ClickHouse than our own."""
        return self.token if self.password is None else self.password

    def __repr__(self) -> str:
        return (
            f"Endpoints(kafka={self.kafka!r}, clickhouse={self.clickhouse!r}, "
            f"console={self.console!r}, token=…)"
        )

    def write(self, directory: Path) -> None:
        """Write the file of `directory`, whole or not at all, mode 0600.

        A user and a password stand in it only where they are not the embedded store's.
        """
        ours = {"username": _STORE_USER, "password": None}
        values = {name: value for name, value in asdict(self).items()
                  if name not in ours or value != ours[name]}  # fmt: skip
        write_atomically(directory / _NAME, json.dumps(values, indent=2).encode() + b"\n")

    @classmethod
    def read(cls, directory: Path) -> "Endpoints":
        """Return what the pipeline running on `directory` wrote; unknown keys are ignored.

        Raises:
            NotRunning: there is no such file.
        """
        try:
            found = json.loads((directory / _NAME).read_bytes())
        except FileNotFoundError:
            raise NotRunning(
                f"no pipeline runs on {directory}: start it with `auditbus up --data {directory}`"
            ) from None
        return cls(
            kafka=found["kafka"],
            clickhouse=found["clickhouse"],
            token=found["token"],
            username=found.get("username", _STORE_USER),
            console=found.get("console", ""),
            password=found.get("password"),
        )


def remove_endpoints(directory: Path) -> None:
    """Remove the file of `directory`: nothing is running there."""
    (directory / _NAME).unlink(missing_ok=True)
