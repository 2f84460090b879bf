"""The demo's children: traffic into Kafka, and a webhook receiver for the forwarder to push to."""

import base64
import json
import secrets
import sys
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from auditbus.deploy.local.data_dir import DataDirectory
from auditbus.deploy.local.ports import LOOPBACK
from auditbus.deploy.local.probes import http_answers
from auditbus.deploy.local.supervisor import ChildSpec
from auditbus.runtime.atomic_file import write_atomically

_RECEIVER_PORT = "demo-receiver"


def demo_receiver(data: DataDirectory, environment: Mapping[str, str]) -> ChildSpec:
    """Return the receiver: a webhook endpoint that checks signatures and counts."""
    port = data.port(_RECEIVER_PORT)
    module = "auditbus.deploy.local.demo.receiver"
    secret = ["--secret-file", str(_secret_file(data))]
    return ChildSpec(
        name="receiver",
        command=[sys.executable, "-m", module, "--port", str(port), *secret],
        environment=environment,
        answers=partial(http_answers, f"http://{LOOPBACK}:{port}/count"),
        stop_timeout_s=1.5,
    )


def demo_traffic(rate: int, environment: Mapping[str, str]) -> ChildSpec:
    """Return the traffic: `rate` events a second."""
    return ChildSpec(
        name="demo",
        command=[sys.executable, "-m", "auditbus.deploy.local.demo", "--rate", str(rate)],
        environment=environment,
        answers=lambda: True,  # it serves nobody: running is enough
        stop_timeout_s=1.5,
    )


def with_demo_destination(data: DataDirectory, environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with a settings file that adds the receiver to the operator's own.

    TOML takes tables in any order, so what is added goes to the end of a copy of the file.
    """
    own = Path(environment.get("AUDITBUS_CONFIG", "auditbus.toml"))
    text = own.read_text(encoding="utf-8") if own.exists() else ""
    if "demo" not in tomllib.loads(text).get("forwarder", {}).get("destinations", {}):
        text += _DESTINATION.format(
            url=f"http://{LOOPBACK}:{data.port(_RECEIVER_PORT)}/events",
            secret_file=json.dumps(str(_secret_file(data))),  # a TOML string, any path
        )
    combined = data.path / "demo.toml"
    write_atomically(combined, text.encode())
    return {**environment, "AUDITBUS_CONFIG": str(combined)}


_DESTINATION = """
[forwarder.destinations.demo]
type = "webhook"
url = "{url}"
secret_file = {secret_file}
allow_private_targets = true  # it is this machine
"""


def _secret_file(data: DataDirectory) -> Path:
    path = data.path / "demo-webhook-secret"
    if not path.exists():
        write_atomically(path, b"whsec_" + base64.b64encode(secrets.token_bytes(32)))
    return path
