"""Runs a command, and ends it with all its children when the process that started this one is gone, in whatever way it went.

    python -I -S guard.py PARENT SECONDS COMMAND...

It must lead a process group (start_new_session), in which the command and its children live. The end of stdin, a pipe of the parent's, or
another parent of this process means that the parent is gone, or wants the command to end: it is asked to (SIGTERM), and after so many
seconds, or when it has ended, the whole group is killed, this process too. When this process is killed alone, the kernel kills the command.
A file of its own without imports of the package: one guard a server waits for as long as a run lasts, in 10 MB.
Does NOT cover: children that leave the group.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time


def bound() -> None:
    """In the command's process, before it begins: the kernel kills it when this one, which leads it, is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main(parent: int, seconds: float, command: list[str]) -> None:
    # a handler, unlike SIG_IGN, is not handed on to the command
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=bound)
        while child.poll() is None:
            ready, _, _ = select.select([0], [], [], 0.25)
            if (ready and not os.read(0, 1)) or os.getppid() != parent:
                child.terminate()
                break
        end = time.monotonic() + seconds
        while child.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)  # in which a tracker of Python's, a child of the command, removes its shared memory
        if child.returncode is not None and child.returncode < 0:
            print(f"errata: ended by signal {-child.returncode}", flush=True)
    except OSError as error:
        print(f"errata: cannot be started: {error}", flush=True)
    finally:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
