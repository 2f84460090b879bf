"""Keep children running: start in order, restart what ends, stop in reverse order within a bound.

Children are started in waves. A wave starts when every earlier one answers; on stop the last wave
is asked first, its members together, so that producers end before what they write to.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.child_log import ChildLog
from auditbus.deploy.local.errors import ChildFailed, StartInterrupted
from auditbus.runtime.logging import get_logger
from auditbus.runtime.retry import Backoff

__all__ = ["ChildSpec", "Supervisor"]

_log = get_logger(__name__)
_TICK_S = 0.05
_ENDS_BEFORE_READY = 3  # a child that ends this often without ever answering is not going to
_STABLE_S = 30.0  # a child that ran this long starts again with the shortest delay
_STOP_LIMIT_S = 9.0  # for everything together; whoever stops `auditbus up` may count on ten
_LOG_DRAIN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """A child as the supervisor needs to know it.

    Attributes:
        answers: whether it does its work; blocks for half a second at most, must not raise.
        start_timeout_s: how long it may take from the start until it answers.
        stop_timeout_s: how long it may take from SIGTERM to its end, before SIGKILL.
        directory: where it runs; None for where this process runs.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    answers: Callable[[], bool]
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 5.0
    directory: Path | None = None


class Supervisor:
    """Runs children until `stop` is set. Every method runs on the main thread (see `Child.start`).

    Args:
        stop: asks to stop, also in the middle of a start.
        log: gets what the children write.
        pass_fds: descriptors that every child keeps open.
    """

    def __init__(
        self, stop: threading.Event, log: ChildLog, *, pass_fds: Sequence[int] = ()
    ) -> None:
        self._stop = stop
        self._log = log
        self._pass_fds = pass_fds
        self._waves: list[list[_Kept]] = []

    def start(self, *specs: ChildSpec) -> None:
        """Start a wave and block until every member answers.

        Raises:
            ChildFailed: one did not answer in its time, or ended again and again.
            StartInterrupted: `stop` was set meanwhile.
        """
        wave = [_Kept(spec, self._log, self._pass_fds) for spec in specs]
        self._waves.append(wave)
        started_at = time.monotonic()
        for kept in wave:
            kept.start()
        waiting = list(wave)
        while waiting:
            if self._stop.wait(_TICK_S):
                raise StartInterrupted("asked to stop during the start")
            self._restart_ended()
            for kept in waiting:
                kept.check_start(elapsed_s=time.monotonic() - started_at)
            waiting = [kept for kept in waiting if not kept.answers()]

    def watch(self) -> None:
        """Restart what ends; blocks until `stop` is set."""
        while not self._stop.wait(_TICK_S):
            self._restart_ended()

    def stop(self) -> None:
        """Stop everything, last wave first; no child is left on return, within nine seconds."""
        deadline = time.monotonic() + _STOP_LIMIT_S
        while self._waves:
            wave = self._waves.pop()
            for kept in wave:
                kept.child.terminate()
            asked_at = time.monotonic()
            for kept in wave:
                kept.end(min(asked_at + kept.spec.stop_timeout_s, deadline))

    def _restart_ended(self) -> None:
        for wave in self._waves:
            for kept in wave:
                kept.restart_if_ended()


class _Kept:
    """One child with its restarts."""

    def __init__(self, spec: ChildSpec, log: ChildLog, pass_fds: Sequence[int]) -> None:
        self.spec = spec
        self.child = Child(
            spec.name,
            spec.command,
            environment=spec.environment,
            pass_fds=pass_fds,
            directory=spec.directory,
        )
        self._log = log
        self._backoff = Backoff(base_s=0.5, cap_s=15.0)
        self._started_at = 0.0
        self._restart_at: float | None = None
        self._ends = 0
        self._copier: threading.Thread | None = None

    def start(self) -> None:
        self.child.start()
        self._started_at = time.monotonic()
        self._restart_at = None
        self._copier = threading.Thread(
            target=self._copy_output, args=(self.child.output,), name=f"{self.spec.name}-log"
        )
        self._copier.daemon = True
        self._copier.start()

    def answers(self) -> bool:
        return self.child.running and self.spec.answers()

    def check_start(self, elapsed_s: float) -> None:
        """Raise ChildFailed where waiting for the first answer makes no sense any more."""
        if self._ends >= _ENDS_BEFORE_READY:
            raise ChildFailed(
                f"{self.spec.name} ended {self._ends} times without becoming ready, last with exit"
                f" code {self.child.exit_code}; its log above says why"
            )
        if elapsed_s > self.spec.start_timeout_s:
            raise ChildFailed(
                f"{self.spec.name} was not ready after {self.spec.start_timeout_s:.0f} s;"
                " its log above may say why"
            )

    def restart_if_ended(self) -> None:
        """Note an end and start again after the backoff."""
        if self.child.running:
            return
        now = time.monotonic()
        if self._restart_at is None:
            self._ends += 1
            if now - self._started_at > _STABLE_S:
                self._backoff.reset()
            delay_s = self._backoff.next_delay_s()
            self._restart_at = now + delay_s
            _log.warning(
                "child_ended",
                child=self.spec.name,
                exit_code=self.child.exit_code,
                restart_in_s=round(delay_s, 1),
            )
        elif now >= self._restart_at:
            self.start()

    def end(self, deadline: float) -> None:
        """Wait for the child's end until `deadline`, then kill it and whatever it started."""
        if not self.child.wait(max(0.0, deadline - time.monotonic())):
            _log.warning("child_killed", child=self.spec.name, reason="did not stop in its time")
            self.child.kill()
        if self._copier is not None:
            self._copier.join(_LOG_DRAIN_S)

    def _copy_output(self, output: IO[bytes]) -> None:
        with output:
            self._log.copy(self.spec.name, output)
