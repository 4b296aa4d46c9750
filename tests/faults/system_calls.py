"""`run_failing`: work in a child process whose n-th system call of a kind fails, or ends it, exactly and in any thread.

What ``strace -e inject=write:error=EIO:when=5 -P file`` does, without strace and without root: a seccomp filter hands
the calls of one kind to this process, which lets them pass or answers in the kernel's place. Unlike strace it counts
over all threads, takes all files below a folder, and a short write writes what it says. Linux on x86-64 and ARM;
elsewhere `why_not` has the reason.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

# Of each kind the numbers of its calls, and where a call names its file: an open file, a path, or a folder and a path.
_FILE, _PATH, _AT = range(3)
_CALLS: dict[str, dict[str, dict[int, int]]] = {
    "x86_64": {
        "write": {1: _FILE},
        "pwrite64": {18: _FILE},
        "fsync": {74: _FILE},
        "fdatasync": {75: _FILE},
        "ftruncate": {77: _FILE},
        "open": {2: _PATH, 257: _AT},
        "rename": {82: _PATH, 264: _AT, 316: _AT},
        "mkdir": {83: _PATH, 258: _AT},
        "unlink": {87: _PATH, 84: _PATH, 263: _AT},
        "lock": {73: _FILE, 72: _FILE},
        "read": {0: _FILE, 17: _FILE},
    },
    "aarch64": {
        "write": {64: _FILE},
        "pwrite64": {68: _FILE},
        "fsync": {82: _FILE},
        "fdatasync": {83: _FILE},
        "ftruncate": {46: _FILE},
        "open": {56: _AT},
        "rename": {38: _AT, 276: _AT},
        "mkdir": {34: _AT},
        "unlink": {35: _AT},
        "lock": {32: _FILE, 25: _FILE},
        "read": {63: _FILE, 67: _FILE},
    },
}
for _of_machine in _CALLS.values():
    _of_machine["any"] = {call: where for calls in list(_of_machine.values()) for call, where in calls.items()}
_FCNTL, _PWRITE = {"x86_64": 72, "aarch64": 25}, {"x86_64": 18, "aarch64": 68}
_MACHINE = platform.machine()

KINDS = tuple(kind for kind in _CALLS["x86_64"] if kind != "any")
"""The kinds of calls; "lock" is flock, and fcntl where it asks for a lock."""

SHORT, KILL = "short", "kill"
"""Beside the names of errors: a write of half the bytes, and the end of the process, as if by SIGKILL."""

# A listener for the filter, which all threads get; the last: if one cannot, the answer is an error as usual.
_NEW_LISTENER, _ALL_THREADS, _OR_ERROR = 8, 1, 16
_SET_FILTER, _NO_NEW_PRIVILEGES = 1, 38
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_PIDFD_OPEN, _PIDFD_GETFD = 434, 438
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _ANSWER = 0xC0502100, 0xC0182101
_LET_PASS = 1
_MEMORY = 1 << 20


@dataclass(frozen=True)
class Ran:
    """How the work ended.

    Parameters
    ----------
    ended : {"returned", "raised", "killed", "hung", "crashed"}
    calls, faults : int
        Calls of the kind on files of the folder, and how many of them failed.
    said : tuple
        What the work reported, in order.
    error : dict
        Of an exception: its "type", "message", "traceback", and "bases", the names of its classes.
    of_kinds : dict
        The calls by kind; of more than one where the kind was "any".
    """

    ended: str
    calls: int
    faults: int
    said: tuple[Any, ...]
    error: dict[str, Any]
    of_kinds: dict[str, int]


@cache
def why_not() -> str:
    """Why no call can be made to fail here; "" where it can."""
    if sys.platform != "linux" or _MACHINE not in _CALLS:
        return "needs the seccomp filters of Linux on x86-64 or ARM"
    try:
        ran = run_failing(
            lambda: None, lambda _, say: os.close(os.open("/dev/null", os.O_WRONLY)), "/dev", "open", 1, "EIO"
        )
    except OSError as error:
        return f"seccomp filters are refused here ({error.strerror})"
    return "" if ran.faults == 1 else "seccomp filters do not work here"


def run_failing(
    before: Callable[[], T],
    work: Callable[[T, Callable[[Any], None]], object],
    folder: str | os.PathLike[str],
    kind: str,
    number: int,
    fault: str,
    *,
    lasting: bool = False,
    timeout: float = 600,
) -> Ran:
    """Run `before` and `work` in a fork of this process; the `number`-th call of `work` below `folder` fails.

    Parameters
    ----------
    before : callable
        What it returns is the first argument of `work`.
    work : callable
        The second argument is a function that reports a value of JSON; what was reported is known even if the process
        ends then.
    kind : one of `KINDS`, or "any"
    number : int
        0: none fails, they are counted.
    fault : str
        The name of an error such as "ENOSPC", `SHORT` or `KILL`.
    lasting : bool
        All later calls of the kind fail too.
    """
    # Everything is made before the fork: the child shall make no call of its own on the way.
    here, there = socket.socketpair()
    memory = mmap.mmap(-1, _MEMORY)
    child = os.fork()
    if child == 0:
        _be_the_child(before, work, there, kind, memory)
    there.close()
    try:
        [listener] = socket.recv_fds(here, 1, 1)[1] or [-1]
        if listener < 0:
            raise OSError(errno.EPERM, "no filter")
        judge = _Judge(child, os.path.realpath(folder), kind, number, fault, lasting)
        in_time = _serve(listener, judge, time.monotonic() + timeout)
        os.close(listener)
        if not in_time:
            os.kill(child, signal.SIGKILL)
    finally:
        here.close()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    lines = [json.loads(line) for line in memory[: memory.find(b"\0")].splitlines()]
    memory.close()
    error = lines.pop()["raised"] if lines and isinstance(lines[-1], dict) and "raised" in lines[-1] else {}
    ended = {0: "returned", 1: "raised", -signal.SIGKILL: "killed"}.get(status, "crashed")
    of_kinds = {kind: sum(judge.made[call] for call in _CALLS[_MACHINE][kind]) for kind in KINDS}
    return Ran(ended if in_time else "hung", judge.made.total(), judge.faults, tuple(lines), error, of_kinds)


# -- in the child ---------------------------------------------------------------------------------


def _be_the_child(
    before: Callable[[], Any],
    work: Callable[..., object],
    to_parent: socket.socket,
    kind: str,
    memory: mmap.mmap,
) -> None:
    status = 3
    try:

        def say(value: Any) -> None:
            memory.write(json.dumps(value).encode() + b"\n")  # no system call

        try:
            made = before()
            socket.send_fds(to_parent, [b"f"], [_install(kind)])
            work(made, say)
            status = 0
        except BaseException as error:
            names = [each.__name__ for each in type(error).__mro__]
            told = {"type": names[0], "bases": names, "message": str(error), "traceback": traceback.format_exc()}
            say({"raised": told})
            status = 1
    finally:
        os._exit(status)


def _install(kind: str) -> int:
    """Have the kernel ask about all calls of a kind; returns the open file that its questions come from."""
    numbers = list(_CALLS[_MACHINE][kind])
    program = [(0x20, 0, 0, 0)]  # load the number of the call
    program += [(0x15, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]  # equal: jump to the last
    program += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _ASK)]
    raw = b"".join(struct.pack("HBBI", *line) for line in program)
    lines = ctypes.create_string_buffer(raw, len(raw))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(lines)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener = int(libc.syscall(_SECCOMP[_MACHINE], _SET_FILTER, _NEW_LISTENER | _ALL_THREADS | _OR_ERROR, header))
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


# -- in the parent --------------------------------------------------------------------------------


def _serve(listener: int, judge: _Judge, until: float) -> bool:
    """Answer until all threads of the child are gone; False if the time was over first."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        for _, what in poll.poll(min(1000, left * 1000)):
            if not what & select.POLLIN:
                return True
            asked = bytearray(80)
            try:
                fcntl.ioctl(listener, _RECEIVE, asked)
            except OSError as error:
                if error.errno == errno.ENOENT:  # the thread ended before it was asked about
                    continue
                raise
            id, thread, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", asked)
            answer = judge.answer(thread, number, arguments)
            if answer is not None:
                with suppress(FileNotFoundError):  # it was killed meanwhile
                    fcntl.ioctl(listener, _ANSWER, bytearray(struct.pack("QqiI", id, *answer)))
    return False


class _Judge:
    """Counts the calls and decides about each: its value, its error, and whether the kernel makes it."""

    def __init__(self, child: int, folder: str, kind: str, number: int, fault: str, lasting: bool):
        self._child, self._folder, self._lasting = child, folder, lasting
        self._where, self._number, self._fault = _CALLS[_MACHINE][kind], number, fault
        self.made: Counter[int] = Counter()
        self.faults = 0

    def answer(self, thread: int, call: int, arguments: list[int]) -> tuple[int, int, int] | None:
        if not self._is_of_the_folder(thread, call, arguments):
            return 0, 0, _LET_PASS
        self.made[call] += 1
        at = self.made.total()
        if not self._number or at < self._number or (at > self._number and not self._lasting):
            return 0, 0, _LET_PASS
        if self._fault == SHORT:
            written = self._write_half(thread, call, arguments)
            self.faults += bool(written)
            return (written, 0, 0) if written else (0, 0, _LET_PASS)
        self.faults += 1
        if self._fault == KILL:
            os.kill(self._child, signal.SIGKILL)
            return None
        return 0, -getattr(errno, self._fault), 0

    def _is_of_the_folder(self, thread: int, call: int, arguments: list[int]) -> bool:
        if call == _FCNTL[_MACHINE] and arguments[1] not in (fcntl.F_SETLK, fcntl.F_SETLKW, 37, 38):
            return False
        try:
            path = self._path(thread, self._where[call], arguments)
        except OSError:
            return False
        return path == self._folder or path.startswith(self._folder + "/")

    def _path(self, thread: int, where: int, arguments: list[int]) -> str:
        if where == _FILE:
            return os.readlink(f"/proc/{thread}/fd/{arguments[0]}")
        path = os.fsdecode(_memory(thread, arguments[1 if where == _AT else 0], 4096).split(b"\0")[0])
        if os.path.isabs(path):
            return path
        folder = ctypes.c_int(arguments[0] & 0xFFFFFFFF).value if where == _AT else -1
        of = f"/proc/{thread}/cwd" if folder < 0 else f"/proc/{thread}/fd/{folder}"
        return os.path.join(os.readlink(of), path)

    def _write_half(self, thread: int, call: int, arguments: list[int]) -> int:
        half = arguments[2] // 2
        if not half:
            return 0
        libc = ctypes.CDLL(None, use_errno=True)
        process = os.pidfd_open(self._child)
        file = int(libc.syscall(_PIDFD_GETFD, process, arguments[0], 0))  # with its position
        os.close(process)
        if file < 0:
            return 0
        try:
            content = _memory(thread, arguments[1], half)
            return os.pwrite(file, content, arguments[3]) if call == _PWRITE[_MACHINE] else os.write(file, content)
        finally:
            os.close(file)


def _memory(thread: int, at: int, count: int) -> bytes:
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), count, at)
