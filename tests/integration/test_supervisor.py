"""The supervisor with real, small child processes."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.child_log import ChildLog
from auditbus.deploy.local.errors import ChildFailed, StartInterrupted
from auditbus.deploy.local.supervisor import ChildSpec, Supervisor

# Counts its starts in DIR/NAME.starts, is ready when DIR/NAME.ready exists, and notes SIGTERM in
# DIR/stops.
_STUB = """
import os, pathlib, signal, sys, time
directory, name, crashes = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
obeys = sys.argv[4] == "obeys"
def stop(*_):
    with (directory / "stops").open("a") as stops:
        stops.write(name + "\\n")
    if obeys:
        sys.exit(0)
signal.signal(signal.SIGTERM, stop)
with (directory / f"{name}.starts").open("a") as starts:
    starts.write(f"{os.getpid()}\\n")
print("hello from", name, flush=True)
if len((directory / f"{name}.starts").read_text().split()) <= crashes:
    sys.exit(7)
(directory / f"{name}.ready").touch()
while True:
    time.sleep(1)
"""


def _stub(directory: Path, name: str, *, crashes: int = 0, obeys: bool = True) -> ChildSpec:
    mode = "obeys" if obeys else "ignores"
    return ChildSpec(
        name=name,
        command=[sys.executable, "-S", "-c", _STUB, str(directory), name, str(crashes), mode],
        environment=dict(os.environ),
        answers=(directory / f"{name}.ready").exists,
        start_timeout_s=20,
        stop_timeout_s=1,
    )


def _starts(directory: Path, name: str) -> list[int]:
    return [int(pid) for pid in (directory / f"{name}.starts").read_text().split()]


def _wait_until(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    """A zombie counts as ended: in a container nobody may reap orphans."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@contextmanager
def _supervised(*waves: list[ChildSpec], log: io.StringIO | None = None) -> Iterator[Supervisor]:
    supervisor = Supervisor(threading.Event(), ChildLog(log or io.StringIO()))
    try:
        for wave in waves:
            supervisor.start(*wave)
        yield supervisor
    finally:
        supervisor.stop()


def test_a_child_that_crashes_at_first_is_restarted_until_it_answers(tmp_path: Path) -> None:
    began = time.monotonic()
    with _supervised([_stub(tmp_path, "crasher", crashes=2)]):
        assert len(_starts(tmp_path, "crasher")) == 3
    assert time.monotonic() - began > 0.25 + 0.5  # two delays of the backoff, at their shortest


def test_a_child_that_never_answers_is_given_up_and_the_others_are_stopped(tmp_path: Path) -> None:
    good, bad = _stub(tmp_path, "good"), _stub(tmp_path, "bad", crashes=99)
    with (
        pytest.raises(ChildFailed, match=r"bad ended 3 times .* exit code 7"),
        _supervised([good], [bad]),
    ):
        pass
    assert not _is_alive(_starts(tmp_path, "good")[0])


def test_a_child_killed_later_is_restarted(tmp_path: Path) -> None:
    stop = threading.Event()
    supervisor = Supervisor(stop, ChildLog(io.StringIO()))
    supervisor.start(_stub(tmp_path, "worker"))

    def kill_then_stop() -> None:
        os.kill(_starts(tmp_path, "worker")[0], signal.SIGKILL)
        _wait_until(lambda: len(_starts(tmp_path, "worker")) == 2)
        stop.set()

    killer = threading.Thread(target=kill_then_stop)
    killer.start()
    supervisor.watch()
    killer.join()
    assert _is_alive(_starts(tmp_path, "worker")[1])
    supervisor.stop()
    assert not _is_alive(_starts(tmp_path, "worker")[1])


def test_the_last_wave_is_stopped_first_and_who_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    store, sink = _stub(tmp_path, "store"), _stub(tmp_path, "sink", obeys=False)
    with _supervised([store], [sink]):
        began = time.monotonic()
    assert (tmp_path / "stops").read_text().split() == ["sink", "store"]
    assert 1 <= time.monotonic() - began < 4
    assert not _is_alive(_starts(tmp_path, "sink")[0])


def test_a_stop_in_the_middle_of_a_start_is_obeyed(tmp_path: Path) -> None:
    stop = threading.Event()
    supervisor = Supervisor(stop, ChildLog(io.StringIO()))

    def ask_to_stop() -> bool:
        stop.set()
        return False

    never = ChildSpec(
        name="never",
        command=["sleep", "60"],
        environment=dict(os.environ),
        answers=ask_to_stop,
    )
    with pytest.raises(StartInterrupted):
        supervisor.start(never)
    supervisor.stop()


def test_logs_carry_the_name_of_the_child(tmp_path: Path) -> None:
    log = io.StringIO()
    with _supervised([_stub(tmp_path, "stream")], log=log):
        pass
    assert log.getvalue() == "stream    │ hello from stream\n"


def test_a_broken_log_stream_does_not_stop_the_child() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    broken = os.fdopen(write_end, "w")
    read: list[bytes] = []

    def lines() -> Iterator[bytes]:
        for number in range(3):
            read.append(b"%d\n" % number)
            yield read[-1]

    ChildLog(broken).copy("stream", lines())
    assert len(read) == 3
    with pytest.raises(BrokenPipeError):
        broken.close()


def test_no_child_survives_a_killed_supervisor(tmp_path: Path) -> None:
    script = f"""
import sys, threading
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from tests.integration.test_supervisor import _stub
from auditbus.deploy.local.child_log import ChildLog
from auditbus.deploy.local.supervisor import Supervisor
supervisor = Supervisor(threading.Event(), ChildLog(sys.stdout))
names = ["one", "two", "three"]
supervisor.start(*(_stub(Path({str(tmp_path)!r}), name, obeys=False) for name in names))
supervisor.watch()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL) as process:
        _wait_until(
            lambda: all((tmp_path / f"{n}.ready").exists() for n in ("one", "two", "three"))
        )
        pids = [_starts(tmp_path, name)[0] for name in ("one", "two", "three")]
        assert all(map(_is_alive, pids))
        process.kill()
    _wait_until(lambda: not any(map(_is_alive, pids)), timeout_s=5)


def test_a_child_whose_parent_died_before_it_could_bind_itself_does_not_start(
    tmp_path: Path,
) -> None:
    wrapper = Path(sys.modules[Child.__module__].__file__ or "").with_name("bound_exec.py")
    started = tmp_path / "started"
    nobody = str(os.getpid() + 1)  # not the parent's id: as if the parent had been replaced
    done = subprocess.run(
        [sys.executable, "-I", "-S", wrapper, nobody, "touch", started], check=False
    )
    assert done.returncode == 1
    assert not started.exists()


def test_a_child_is_not_started_off_the_main_thread() -> None:
    errors: list[Exception] = []

    def start() -> None:
        try:
            Child("x", ["true"]).start()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_a_child_leads_its_own_session_so_that_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    child = Child("sleeper", ["sleep", "60"], log=tmp_path / "log")
    child.start()
    try:
        assert os.getsid(child.pid) == child.pid
    finally:
        child.kill()
    assert child.exit_code == -signal.SIGKILL
