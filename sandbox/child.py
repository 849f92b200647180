"""The Linux backend's process: one CPython child for one program, behind rlimits, Landlock and seccomp.

Started by pool.py. Reads one request (JSON, to the end of its standard input), puts up the walls, proves them, writes
`R`, and only then touches the program; whatever follows the `R` on its standard output is the program's to forge. When
a wall does not stand it writes `F` and why. Not covered: clocks, which are the machine's here, so a program that reads
them is not repeatable.
"""

import json
import math
import os
import platform
import resource  # noqa: F401  (here and socket: what the walls need, loaded while files can be read)
import socket  # noqa: F401
import sys

from . import guest, restrict


def main(arguments: list[str]) -> None:
    walls = arguments[0] == "walls"
    guest.load_modules()
    text = sys.stdin.buffer.read().decode()
    request = json.loads(text)
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    try:
        if sys.platform == "linux":
            restrict.die_with_parent()
        restrict.limit_resources(request["memory_mb"] << 20, math.ceil(request["seconds"]) + 1)
        if walls:
            restrict.deny_files()
            restrict.deny_calls()
            restrict.prove_walls()
    except Exception as error:
        os.write(out, b"F" + str(error).encode())
        return
    sys.path.clear()
    sys.executable, sys.orig_argv = "", []  # paths and names of the host
    vars(platform).update(_uname_cache=None)
    for name in [*sys.modules]:
        if name.partition(".")[0].lstrip("_") in ("socket", "resource", "ctypes", "subprocess", "posixsubprocess"):
            del sys.modules[name]  # so that the program meets the same ImportError as in the other backend
    os.write(out, b"R")
    answer = guest.run(text).encode()
    while answer:
        answer = answer[os.write(out, answer) :]
    os._exit(0)
