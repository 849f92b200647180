"""Linux walls around the calling process, through ctypes: Landlock (no files) and seccomp (few system calls).

For x86_64 and aarch64. Each function raises OSError when its layer did not take effect. Landlock binds the calling thread and what it
starts afterwards, so it comes before any thread; seccomp binds all threads. Neither can be taken off again. Not covered: CPU side
channels, and what was open or in memory before the walls went up.
"""

import ctypes
import os
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS = 38
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_VERSION = 1
_SECCOMP_SET_MODE_FILTER, _SECCOMP_TSYNC = 1, 1
_ALLOW, _EPERM, _KILL = 0x7FFF0000, 0x00050001, 0x80000000

# Per machine: its audit number, the number of seccomp(2), and the calls that an interpreter needs once everything is loaded: its own
# memory, time, signal handlers, the pipes it already holds. Absent on purpose: open, stat, socket, clone, execve, kill, ptrace, prctl,
# ioctl and all else.
_CALLS = {
    "x86_64": (
        0xC000003E,
        317,
        {
            "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
            "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "sched_yield": 24, "mremap": 25, "madvise": 28,
            "nanosleep": 35, "getpid": 39, "exit": 60, "gettimeofday": 96, "getrusage": 98, "times": 100, "getppid": 110,
            "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204, "restart_syscall": 219,
            "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "ppoll": 271, "set_robust_list": 273,
            "getrandom": 318, "membarrier": 324, "rseq": 334,
        },
    ),
    "aarch64": (
        0xC00000B7,
        277,
        {
            "close": 57, "lseek": 62, "read": 63, "write": 64, "pread64": 67, "ppoll": 73, "fstat": 80, "exit": 93, "exit_group": 94,
            "futex": 98, "set_robust_list": 99, "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
            "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134,
            "rt_sigprocmask": 135, "rt_sigreturn": 139, "times": 153, "getrusage": 165, "gettimeofday": 169, "getpid": 172,
            "getppid": 173, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "mprotect": 226, "madvise": 233,
            "getrandom": 278, "membarrier": 283, "rseq": 293,
        },
    ),
}  # fmt: skip


def supported() -> bool:
    """Whether the walls are known for this machine; whether its kernel has them shows only when they are put up."""
    return sys.platform == "linux" and platform.machine() in _CALLS and sys.maxsize > 2**32


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _check(result: int, layer: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{layer}: {os.strerror(code)}")
    return result


def _no_new_privileges() -> None:
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def deny_files() -> None:
    """Landlock with an empty rule set: nothing can be opened, made, changed or run any more; on newer kernels no TCP port either."""
    libc = _libc()
    abi = _check(libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_VERSION)), "landlock")
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    rules = struct.pack("Q", (1 << bits) - 1)
    if abi >= 4:
        rules += struct.pack("Q", 0b11)  # TCP bind and connect
    if abi >= 6:
        rules += struct.pack("Q", 0b11)  # abstract sockets and signals to the outside
    buffer = ctypes.create_string_buffer(rules, len(rules))
    ruleset = _check(libc.syscall(_LANDLOCK_CREATE_RULESET, buffer, ctypes.c_size_t(len(rules)), ctypes.c_uint32(0)), "landlock")
    try:
        _no_new_privileges()
        _check(libc.syscall(_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)), "landlock")
    finally:
        os.close(ruleset)


def deny_calls() -> None:
    """seccomp on all threads: every system call outside the list fails with EPERM."""
    arch, seccomp, calls = _CALLS[platform.machine()]

    def op(code: int, jump_true: int, jump_false: int, value: int) -> bytes:
        return struct.pack("HBBI", code, jump_true, jump_false, value)

    load, equal, back = 0x20, 0x15, 0x06
    program = op(load, 0, 0, 4) + op(equal, 1, 0, arch) + op(back, 0, 0, _KILL) + op(load, 0, 0, 0)
    numbers = sorted(calls.values())
    for index, number in enumerate(numbers):
        program += op(equal, len(numbers) - index, 0, number)
    program += op(back, 0, 0, _EPERM) + op(back, 0, 0, _ALLOW)
    code = ctypes.create_string_buffer(program, len(program))
    prog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
    _no_new_privileges()
    result = _libc().syscall(seccomp, ctypes.c_uint(_SECCOMP_SET_MODE_FILTER), ctypes.c_uint(_SECCOMP_TSYNC), prog)
    if result > 0:  # the id of a thread that could not be bound
        raise OSError(0, f"seccomp: thread {result} is not bound")
    _check(result, "seccomp")
