"""The file destination: whole lines or none, also when the disk is full."""

import os
from pathlib import Path

import pytest

from auditbus.sinks.siem.destination import Parcel
from auditbus.sinks.siem.destinations.file import FileClient, FileSettings
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed

_PARCEL = Parcel("p", [b'{"id":1}', b'{"id":2}'], 0)


def _client(path: Path | str) -> FileClient:
    return FileClient(FileSettings(type="file", path=str(path)))


def test_lines_are_appended_to_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    client = _client(path)
    assert client.probe() == Delivered()
    assert path.read_bytes() == b""
    assert path.stat().st_mode & 0o777 == 0o600
    assert client.deliver(_PARCEL) == client.deliver(_PARCEL) == Delivered()
    client.close()
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n' * 2


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a full disk answers so; it is played by a write that takes some and then fails."""
    path = tmp_path / "audit"
    client = _client(path)
    assert client.deliver(_PARCEL) == Delivered()
    real, calls = os.write, iter([True, False])

    def write(fd: int, data: bytes) -> int:
        if next(calls):
            return real(fd, data[:5])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.write", write)
        outcome = client.deliver(_PARCEL)
    assert outcome == Failed("write", f"{path}: No space left on device")
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n'
    assert client.deliver(_PARCEL) == Delivered()
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n' * 2
    client.close()


def test_a_line_cut_short_by_a_kill_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    path.write_bytes(b'{"id":0}\n{"i')
    client = _client(path)
    assert client.deliver(_PARCEL) == Delivered()
    client.close()
    assert path.read_bytes() == b'{"id":0}\n{"i\n{"id":1}\n{"id":2}\n'


@pytest.mark.parametrize("remove", [False, True])
def test_a_file_that_is_moved_or_removed_is_made_anew(tmp_path: Path, remove: bool) -> None:
    path = tmp_path / "audit"
    client = _client(path)
    client.deliver(_PARCEL)
    path.unlink() if remove else path.rename(tmp_path / "audit.1")
    assert client.deliver(_PARCEL) == Delivered()
    client.close()
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n'


def test_a_directory_that_is_gone_is_a_failure_that_passes(tmp_path: Path) -> None:
    directory = tmp_path / "there"
    directory.mkdir()
    client = _client(directory / "audit")
    directory.rmdir()
    assert isinstance(client.deliver(_PARCEL), Failed)
    directory.mkdir()
    assert client.deliver(_PARCEL) == Delivered()
    client.close()


def test_a_file_that_may_not_be_written_is_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, who may write anything: the answer is played."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    client = _client(tmp_path / "audit")
    with monkeypatch.context() as patched:
        patched.setattr("os.open", refuse)
        assert isinstance(client.deliver(_PARCEL), Blocked)


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    client = _client("-")
    assert client.deliver(_PARCEL) == Delivered()
    client.close()
    assert capfdbinary.readouterr().out == b'{"id":1}\n{"id":2}\n'
