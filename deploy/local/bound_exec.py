"""Replace this process by a command that the kernel kills when the parent dies.

Run as ``python -I -S bound_exec.py PARENT_PID COMMAND...``. A wrapper instead of ``preexec_fn``,
which is unsafe in a parent with threads. ``PR_SET_PDEATHSIG`` survives ``execve`` (prctl(2)), and
with SIGKILL it needs no help from the child. Two traps of it are closed here and in `child`:

* the parent may die before ``prctl`` runs: then the parent's id has already changed, which is
  checked after;
* the signal fires when the parent *thread* ends: `Child.start` refuses to run off the main thread.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _main() -> None:
    parent_pid, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit("the parent ended before this child started")
    os.execvp(command[0], command)  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    _main()
