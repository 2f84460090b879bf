"""Ctrl-C, also where Python drops it."""

import subprocess
import sys

_DROPPED = """
import os, signal
from auditbus.runtime.shutdown import notice_interrupts

class Pressed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

interrupted = notice_interrupts()
assert not interrupted.is_set()
Pressed()
assert interrupted.is_set()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("raised")
"""


def test_an_interrupt_that_a_destructor_swallows_is_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DROPPED], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout) == (0, "raised\n"), done.stderr
    assert "Exception ignored in" in done.stderr
