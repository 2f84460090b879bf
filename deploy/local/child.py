"""One child process: it dies with its parent, and a Ctrl-C in the terminal does not reach it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_WRAPPER = Path(__file__).with_name("bound_exec.py")


class Child:
    """A command that may be started, stopped and started again; at most one process at a time.

    The process leads a session of its own: the terminal's Ctrl-C reaches only the supervisor, which
    stops the children in order. It is killed by the kernel when this process ends, however it ends.

    Args:
        name: what logs call it.
        command: program and arguments; no secret belongs here, every user can read it.
        environment: the whole environment, or None for this process's own.
        log: the file that stdout and stderr are appended to, or None for a pipe, then read from
            `output`.
        pass_fds: descriptors that the child keeps open, such as the lock of the data directory.
        directory: where it runs; None for where this process runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        pass_fds: Sequence[int] = (),
        directory: Path | None = None,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = environment
        self._log = log
        self._pass_fds = tuple(pass_fds)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; returns at once.

        Raises:
            RuntimeError: off the main thread, whose end would kill the child, or while it is
                running.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "children start on the main thread: they die with the thread that starts them"
            )
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        if self._log is None:
            self._process = self._spawn(subprocess.PIPE)
        else:
            with self._log.open("ab") as log:
                self._process = self._spawn(log)

    @property
    def pid(self) -> int:
        """The id of the process last started.

        Raises:
            RuntimeError: it was never started.
        """
        return self._started().pid

    @property
    def output(self) -> IO[bytes]:
        """The pipe with stdout and stderr of the process last started."""
        stream = self._started().stdout
        if stream is None:
            raise RuntimeError(f"the output of {self.name} goes to a file")
        return stream

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the process last started, negative for a signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    def terminate(self) -> None:
        """Ask the process to stop (SIGTERM); returns at once, does nothing where it has ended."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End the process and what it started (SIGKILL to its group), and wait for its end."""
        if self._process is None or self._process.poll() is not None:
            return
        # The child is not yet reaped, so its id, which is its group's id, cannot have been reused.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def wait(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds for the process to end; False where it still runs."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, timeout_s: float) -> None:
        """SIGTERM, then SIGKILL after `timeout_s` seconds; the process has ended on return."""
        self.terminate()
        if not self.wait(timeout_s):
            self.kill()

    def _spawn(self, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WRAPPER), str(os.getpid()), *self._command],
            env=None if self._environment is None else dict(self._environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=self._pass_fds,
            cwd=self._directory,
        )

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process
