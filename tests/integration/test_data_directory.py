"""The data directory: one owner, also across a killed one; a token and ports that stay."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.data_dir import own_data_directory
from auditbus.deploy.local.endpoints import Endpoints, remove_endpoints
from auditbus.deploy.local.errors import DirectoryInUse, NotRunning
from auditbus.deploy.local.ports import kept_port
from auditbus.runtime.errors import SettingsError

_OWNER = """
import sys
from pathlib import Path
from auditbus.deploy.local.data_dir import own_data_directory
with own_data_directory(Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""


def test_a_second_owner_is_refused_with_the_process_id_of_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"owned\n"
        refused = pytest.raises(DirectoryInUse, match=f"process id {owner.pid}:")
        with refused, own_data_directory(tmp_path):
            pass
        owner.kill()
        owner.wait()
        with own_data_directory(tmp_path):
            pass


def test_the_directory_is_not_free_before_the_last_child_has_ended(tmp_path: Path) -> None:
    with own_data_directory(tmp_path) as data:
        child = Child(
            "holder", ["sleep", "60"], log=tmp_path / "log", pass_fds=[data.lock_descriptor]
        )
        child.start()
    try:
        with pytest.raises(DirectoryInUse), own_data_directory(tmp_path):
            pass
    finally:
        child.kill()
    with own_data_directory(tmp_path):
        pass


@pytest.mark.parametrize("place", ["file", "file/within", "/proc/nowhere"])
def test_a_directory_that_cannot_be_made_is_named_with_its_setting(
    tmp_path: Path, place: str
) -> None:
    """It ended in a traceback."""
    (tmp_path / "file").touch()
    refused = pytest.raises(SettingsError, match=rf"{place} can't be used: .*AUDITBUS_DATA_DIR")
    with refused, own_data_directory(tmp_path / place):
        pass


def test_the_token_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data"
    with own_data_directory(path) as data:
        token = data.token
        assert len(token) >= 40
        assert data.token_file.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_mode & 0o777 == 0o700
    with own_data_directory(path) as data:
        assert data.token == token


def test_a_port_stays_until_a_foreign_program_takes_it(tmp_path: Path) -> None:
    record = tmp_path / "ports.json"
    port, other = kept_port(record, "kafka"), kept_port(record, "store")
    assert port != other
    assert kept_port(record, "kafka") == port
    with socket.create_server(("127.0.0.1", port)):
        moved = kept_port(record, "kafka")
    assert moved not in (port, other)
    assert kept_port(record, "kafka") == moved
    assert kept_port(record, "store") == other


def test_a_port_does_not_move_once_our_own_child_listens_on_it(tmp_path: Path) -> None:
    with own_data_directory(tmp_path) as data:
        port = data.port("store")
        with socket.create_server(("127.0.0.1", port)):
            assert data.port("store") == port
    with own_data_directory(tmp_path) as data:
        assert data.port("store") == port


def test_endpoints_are_private_complete_and_gone_after_the_stop(tmp_path: Path) -> None:
    endpoints = Endpoints(kafka="127.0.0.1:1", clickhouse="http://127.0.0.1:2", token="secret")
    endpoints.write(tmp_path)
    written = json.loads((tmp_path / "endpoints.json").read_bytes())
    assert written.keys() == {"kafka", "clickhouse", "console", "token"}
    assert (tmp_path / "endpoints.json").stat().st_mode & 0o777 == 0o600
    assert Endpoints.read(tmp_path) == endpoints
    assert "secret" not in repr(endpoints)
    remove_endpoints(tmp_path)
    with pytest.raises(NotRunning, match="auditbus up --data"):
        Endpoints.read(tmp_path)
    assert list(tmp_path.iterdir()) == []
