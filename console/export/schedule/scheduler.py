"""The thread that makes scheduled exports; of several consoles, one at a time makes each.

An interval's manifest is the last file to arrive: where it is, that export is done. A console that
dies before it has remembered so finds it there, and makes no second one.
"""

from __future__ import annotations

import fcntl
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from clickhouse_connect.driver.client import Client

from auditbus.console.access import Caller, Principal, Recorder, Role
from auditbus.console.export.file import write_file
from auditbus.console.export.manifest import Manifest, manifest_path
from auditbus.console.export.schedule.interval import Interval
from auditbus.console.export.schedule.scheduled import PAUSES, ScheduledExport
from auditbus.console.query.connection import explained
from auditbus.runtime.logging import get_logger
from auditbus.runtime.metrics import (
    SCHEDULED_EXPORT_ALARM,
    SCHEDULED_EXPORT_UNTIL,
    SCHEDULED_EXPORTS,
)
from auditbus.runtime.settings import Settings

__all__ = ["Scheduler"]

_log = get_logger(__name__)
_LOOK_EVERY_S = 5.0
_STOP_TIMEOUT_S = 5.0
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Failing:
    times: int = 0
    not_before: datetime = _EVER


@dataclass(slots=True)
class Scheduler:
    """Build it with `of`, then `start`."""

    settings: Settings
    store: Client
    recorder: Recorder
    exports: tuple[ScheduledExport, ...]
    directory: Path
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _failing: dict[str, _Failing] = field(default_factory=dict, init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    @classmethod
    def of(cls, settings: Settings, store: Client, recorder: Recorder) -> Scheduler:
        """Judge the settings. Raises SettingsError naming the key that is wrong."""
        console = settings.console
        directory = (console.exports_dir or settings.data_dir / "exports") / "scheduled"
        exports = (
            ScheduledExport.of(name, section, directory)
            for name, section in console.scheduled_exports.items()
        )
        return cls(settings, store, recorder, tuple(exports), directory)

    def start(self) -> None:
        """Begin, in a thread, where anything is scheduled."""
        if self.exports:
            self._stop.clear()
            self._thread = threading.Thread(target=self._serve, name="schedule", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Leave off; blocks for five seconds at most. An export under way is made anew later."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)
            self._thread = None

    def run_due(self) -> None:
        """Make every export that is due; blocks. What fails is alarmed and due again later."""
        for export in self.exports:
            while not self._stop.is_set() and self._run_one(export):
                pass

    def _serve(self) -> None:
        while not self._stop.is_set():
            self.run_due()
            self._stop.wait(_LOOK_EVERY_S)

    def _run_one(self, export: ScheduledExport) -> bool:
        """Return whether an interval was exported; then the next may be due."""
        failing = self._failing.setdefault(export.name, _Failing())
        if self.now() < failing.not_before:
            return False
        try:
            with self._locked(export) as is_ours:
                interval = export.due(self.now()) if is_ours else None
                if interval is None:
                    return False
                with explained(self.settings.clickhouse):
                    self._export(export, interval)
        except Exception as error:  # noqa: BLE001  # whatever it is, the others go on, and so it
            self._alarm(export, failing, error)
            return False
        failing.times = 0
        SCHEDULED_EXPORT_ALARM.labels(export.name).set(0)
        SCHEDULED_EXPORT_UNTIL.labels(export.name).set(interval.end.timestamp())
        return True

    def _export(self, export: ScheduledExport, interval: Interval) -> None:
        name = export.file_name(interval)
        if not export.destination.has(manifest_path(Path(name)).name):
            with self._scratch(export) as scratch:
                file = scratch / name
                running = export.request(interval).begin(self.store)
                manifest = write_file(running, file, lambda _: None)
                export.destination.put(file)
                self._record(export, manifest)
                export.destination.put(manifest_path(file))
            self._tell(export, manifest)
        export.done(interval)

    def _record(self, export: ScheduledExport, manifest: Manifest) -> None:
        event = manifest.to_event()
        self.recorder.record(
            event["action"],
            event["description"],
            principal=Principal(export.principal_id, export.name, Role.MEMBER),
            caller=Caller(),
            targets=event["targets"],
            metadata=event["metadata"],
        )

    def _tell(self, export: ScheduledExport, manifest: Manifest) -> None:
        outcome = "truncated" if manifest.truncated else "done"
        SCHEDULED_EXPORTS.labels(export.name, outcome).inc()
        told = {"export": export.name, "file": manifest.file, "rows": manifest.rows}
        if manifest.truncated:
            _log.error("scheduled_export_truncated", matched=manifest.matched, **told)
        else:
            _log.info("scheduled_export_done", **told)

    def _alarm(self, export: ScheduledExport, failing: _Failing, error: Exception) -> None:
        pause = PAUSES[min(failing.times, len(PAUSES) - 1)]
        failing.times += 1
        failing.not_before = self.now() + pause
        SCHEDULED_EXPORTS.labels(export.name, "failed").inc()
        SCHEDULED_EXPORT_ALARM.labels(export.name).set(1)
        _log.error(
            "scheduled_export_failed",
            export=export.name,
            reason=str(error) or type(error).__name__,
            failures=failing.times,
            again_in_s=pause.total_seconds(),
        )

    @contextmanager
    def _scratch(self, export: ScheduledExport) -> Iterator[Path]:
        """Yield an empty folder; what a process that died left there goes first."""
        scratch = self.directory / f"{export.name}.scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @contextmanager
    def _locked(self, export: ScheduledExport) -> Iterator[bool]:
        """Yield whether no other console makes this export; a process that dies lets go."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.directory / f"{export.name}.lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
