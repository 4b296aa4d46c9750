"""A disk that forgets, without root: a file system in the memory of a process (FUSE) that keeps what it has to keep.

A power cut leaves what POSIX promises and no more. Of a file, the bytes of its last `fsync`, and any of the writes
since, each of them or not, in any order. Of a folder, the names of its last `fsync`, and any of the changes since. Real
file systems keep more: they write names in order, and those of a file with the file. So every second cut keeps names as
a journal does.

python -m tests.support.forgetful_disk PLACE     serves one; commands come on its input, an answer to each goes out
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Disk", "ForgetfulDisk", "Served", "forgetful_disk", "why_not"]

_ROOM = 64 * 2**20
_MOST_NAMES = 1500


def why_not() -> str:
    """Why there can be no such disk here; "" if there can."""
    if sys.platform != "linux" or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "a file system of a process needs Linux and /dev/fuse"
    if _fusermount() is None:
        return "there is no fusermount"
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError) as error:
        return f"mfusepy does not work here: {error}"
    try:
        with forgetful_disk():
            return ""
    except OSError as error:
        return f"a disk cannot be mounted here: {error}"


@contextlib.contextmanager
def forgetful_disk(seed: int = 0) -> Iterator[ForgetfulDisk]:
    """A new mounted disk, gone at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="samnb-disk-"))
    try:
        disk = ForgetfulDisk(folder / "disk", seed)
        try:
            yield disk
        finally:
            disk.close()
    finally:
        shutil.rmtree(folder)


class ForgetfulDisk:
    """A disk, mounted at `place`. Its methods are those of a `LoopDisk`."""

    kind = "fuse"

    def __init__(self, place: Path, seed: int):
        self.place, self._chance = place, random.Random(seed)
        place.mkdir(parents=True)
        self._server = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.forgotten = 0
        try:
            self._wait()
        except OSError:
            self._server.kill()
            raise

    def sync(self) -> None:
        """Keep all that is there."""
        self._tell("sync")

    def cut(self) -> None:
        """Power off, now: what need not be kept may be forgotten. Then end whoever uses it, and `restart`."""
        self.forgotten += int(self._tell(f"cut {self._chance.getrandbits(32)}"))

    def restart(self) -> None:
        """Mount again after a cut, or after `fail`."""
        _unmount(self.place)
        self._wait()

    def fail(self) -> None:
        """Be read-only from now on; then `restart`."""
        self._tell("fail")

    def fill(self, leave: int = 0) -> None:
        """Take all room but some bytes."""
        self._tell(f"fill {leave}")

    def take_all_inodes(self) -> None:
        """Take all room for names of files, and none for their bytes."""
        self._tell("names 0")

    def make_room(self) -> None:
        """Undo `fill` and `take_all_inodes`."""
        self._tell("room")

    def close(self) -> None:
        """Unmount it; it is gone."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        try:
            self._server.wait(60)
        finally:
            self._server.kill()

    def _tell(self, command: str) -> str:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(command, file=self._server.stdin, flush=True)
        answer = self._server.stdout.readline()
        if not answer:
            raise OSError(f"the server of the disk has ended ({self._server.wait()}), told to {command}")
        return answer.strip()

    def _wait(self) -> None:
        for _ in range(1000):
            if os.path.ismount(self.place):
                return
            if self._server.poll() is not None:
                break
            time.sleep(0.01)
        raise OSError(f"{self.place}: not mounted; the server says {self._server.poll()}")


def _fusermount() -> str | None:
    return shutil.which("fusermount3") or shutil.which("fusermount")


def _unmount(place: Path, *, at_any_cost: bool = False) -> None:
    program = _fusermount()
    assert program is not None
    for attempt in range(10 if at_any_cost else 100):  # a process that was just ended may still close its files
        done = subprocess.run([program, "-u", str(place)], capture_output=True, text=True)
        if done.returncode == 0 or not os.path.ismount(place):
            return
        time.sleep(0.02 * min(attempt + 1, 10))
    if not at_any_cost:
        raise AssertionError(done.stderr)
    subprocess.run([program, "-u", "-z", str(place)], check=True)


# -- what is on the disk -----------------------------------------------------------------------------


@dataclass(eq=False)
class Node:
    """A file, a link or a folder: as programs see it, as it was last synced, and the changes since."""

    mode: int
    data: bytearray = field(default_factory=bytearray)
    names: dict[str, Node] = field(default_factory=dict)
    kept_data: bytes = b""
    kept_names: dict[str, Node] = field(default_factory=dict)
    writes: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Since the last sync: where, and what; None: the length became that."""
    times: tuple[int, int] = field(default_factory=lambda: (time.time_ns(),) * 2)
    changed: int = field(default_factory=time.time_ns)
    links: int = 0

    def sync(self) -> None:
        self.kept_data = bytes(self.data)
        self.writes.clear()

    def apply(self, at: int, what: bytes | None) -> None:
        if what is None:
            self.data = self.data[:at].ljust(at, b"\0")
            return
        if at > len(self.data):
            self.data += bytes(at - len(self.data))
        self.data[at : at + len(what)] = what


Change = dict[tuple[int, str], tuple[Node, Node | None]]
"""What happened to names at once, of a rename two: the folder's id, the name; the folder, its new child."""


class Disk:
    """The tree, and what of it is kept. Every method is called by one thread at a time."""

    def __init__(self) -> None:
        self.root = Node(stat.S_IFDIR | 0o755)
        self.changes: list[Change] = []
        self.in_journal = 0

    def node(self, path: str) -> Node:
        found = self.root
        for part in path.split("/"):
            if part:
                if not stat.S_ISDIR(found.mode):
                    raise OSError(errno.ENOTDIR, path)
                if part not in found.names:
                    raise OSError(errno.ENOENT, path)
                found = found.names[part]
        return found

    def folder(self, path: str) -> tuple[Node, str]:
        parent, _, name = path.rpartition("/")
        return self.node(parent), name

    def change(self, *changes: tuple[str, Node | None]) -> None:
        """Give names to nodes, or take them away, in one step."""
        both: Change = {}
        for path, node in changes:
            folder, name = self.folder(path)
            both[id(folder), name] = folder, node
        self.changes.append(both)
        self._assign(both, kept=False)

    def sync_names(self, folder: Node) -> None:
        """What a sync of a folder keeps: its changes, and what came before a rename from or to another folder there."""
        folders, mine = {id(folder)}, []
        for change in reversed(self.changes):
            of = {key[0] for key in change}
            if of & folders:
                folders |= of
                mine.append(change)
        for change in reversed(mine):
            self._assign(change, kept=True)
        taken = {id(change) for change in mine}
        self.changes = [change for change in self.changes if id(change) not in taken]

    def journal(self) -> None:
        """Any sync: a journal would have written all names that were changed before."""
        self.in_journal = len(self.changes)

    def all(self) -> list[Node]:
        found, left = [], [self.root]
        while left:
            found.append(node := left.pop())
            left += node.names.values()
        return found

    def sync(self) -> None:
        """Keep all that is there."""
        self.changes.clear()
        self.in_journal = 0
        for node in self.all():
            node.sync()
            node.kept_names = dict(node.names)

    def cut(self, chance: random.Random) -> int:
        """Become what is left after a power cut; how many writes and names were forgotten."""
        if chance.random() < 0.5:  # a journal: all before the last sync, and some of what came then, in order
            kept = chance.randint(self.in_journal, len(self.changes))
            forgotten = len(self.changes) - kept
            for change in self.changes[:kept]:
                self._assign(change, kept=True)
        else:
            forgotten = 0
            often = chance.choice([0, 0.5, 1])
            for change in self.changes:
                if chance.random() < often:
                    self._assign(change, kept=True)
                else:
                    forgotten += 1
        seen, left = set(), [self.root]
        while left:
            node = left.pop()
            if id(node) in seen:  # a file with two names
                continue
            seen.add(id(node))
            node.links = 0
            node.names = dict(node.kept_names)
            left += node.names.values()
            now, writes = bytes(node.data), list(node.writes)
            node.data, often = bytearray(node.kept_data), chance.choice([0, 0.5, 1])
            for at, what in writes:
                if chance.random() < often:
                    node.apply(at, what)
            forgotten += bytes(node.data) != now
        for node in self.all():
            for child in node.names.values():
                child.links += 1
        self.sync()
        return forgotten

    @staticmethod
    def _assign(change: Change, *, kept: bool) -> None:
        for (_, name), (folder, node) in change.items():
            names = folder.kept_names if kept else folder.names
            before = names.pop(name, None)
            if node is not None:
                names[name] = node
            if not kept:
                for one, more in ((before, -1), (node, 1)):
                    if one is not None:
                        one.links += more


# -- the file system ---------------------------------------------------------------------------------


def _call(function: Callable[..., Any]) -> Callable[..., Any]:
    """One at a time, and none after a cut."""

    @functools.wraps(function)
    def call(self: Served, *arguments: Any) -> Any:
        with self._lock:
            if self.off:
                raise OSError(errno.EIO, "the power is off")
            return function(self, *arguments)

    return call


def _change(function: Callable[..., Any]) -> Callable[..., Any]:
    """A call that changes something: none on a disk that is read-only."""

    @functools.wraps(function)
    def change(self: Served, *arguments: Any) -> Any:
        if self.read_only:
            raise OSError(errno.EROFS, "read-only")
        return function(self, *arguments)

    return _call(change)


class Served:
    """The calls of FUSE. After a cut each fails, as on a disk that is gone; room and writing can be taken away."""

    use_ns = True  # times in nanoseconds
    flag_nopath = flag_nullpath_ok = True  # of an unlinked file that is still open only the number is known

    def __init__(self, disk: Disk):
        self.disk = disk
        self._lock = threading.RLock()
        self.off = self.read_only = False
        self.room, self.free_names = _ROOM, _MOST_NAMES
        self.handles: dict[int, Node] = {}

    def command(self, line: str) -> str:
        """One command of the process that harms this disk."""
        word, *numbers = line.split()
        with self._lock:
            if word == "sync":
                self.disk.sync()
            elif word == "cut":
                self.off = True
                return str(self.disk.cut(random.Random(int(numbers[0]))))
            elif word == "fail":
                self.read_only = True
            elif word == "fill":
                self.room = self.used() + int(numbers[0])
            elif word == "names":
                self.free_names = int(numbers[0])
            elif word == "room":
                self.room, self.free_names = _ROOM, _MOST_NAMES
            else:
                raise ValueError(line)
        return "done"

    def used(self) -> int:
        return sum(len(node.data) for node in self.disk.all())

    # What is asked.

    @_call
    def getattr(self, path: str, handle: int | None = None) -> dict[str, int]:
        return self._attributes(self._node(path, handle))

    @_call
    def readdir(self, path: str, handle: int) -> list[tuple[str, dict[str, int], int]]:
        node = self._node(path, handle)
        named = {".": node, "..": node, **node.names}
        return [
            (name, self._attributes(child), 0) for name, child in named.items()
        ]  # names without a number are not seen

    @_call
    def readlink(self, path: str) -> str:
        return self.disk.node(path).data.decode()

    @_call
    def statfs(self, path: str) -> dict[str, int]:
        free = max(self.room - self.used(), 0) // 512
        return {
            "f_bsize": 512,
            "f_frsize": 512,
            "f_blocks": _ROOM // 512,
            "f_bfree": free,
            "f_bavail": free,
            "f_files": _MOST_NAMES,
            "f_ffree": self.free_names,
            "f_favail": self.free_names,
            "f_namemax": 255,
        }

    @_call
    def open(self, path: str, flags: int) -> int:
        return self._handle(self.disk.node(path))

    @_call
    def opendir(self, path: str) -> int:
        return self._handle(self.disk.node(path))

    @_call
    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        return bytes(self.handles[handle].data[offset : offset + size])

    @_call
    def release(self, path: str, handle: int) -> int:
        del self.handles[handle]
        return 0

    releasedir = release

    # What is changed.

    @_change
    def create(self, path: str, mode: int, flags: int) -> int:
        return self._handle(self._new(path, stat.S_IFREG | stat.S_IMODE(mode)))

    @_change
    def mkdir(self, path: str, mode: int) -> int:
        self._new(path, stat.S_IFDIR | stat.S_IMODE(mode))
        return 0

    @_change
    def symlink(self, target: str, source: str) -> int:
        node = self._new(target, stat.S_IFLNK | 0o777)
        node.data[:] = source.encode()
        node.sync()
        return 0

    @_change
    def link(self, target: str, source: str) -> int:
        self.disk.change((target, self.disk.node(source)))
        return 0

    @_change
    def unlink(self, path: str) -> int:
        self.disk.node(path)
        self.disk.change((path, None))
        return 0

    @_change
    def rmdir(self, path: str) -> int:
        node = self.disk.node(path)
        if not stat.S_ISDIR(node.mode):
            raise OSError(errno.ENOTDIR, path)
        if node.names:
            raise OSError(errno.ENOTEMPTY, path)
        return self.unlink(path)  # type: ignore[no-any-return, unused-ignore]

    @_change
    def rename(self, old: str, new: str) -> int:
        node = self.disk.node(old)
        folder, name = self.disk.folder(new)
        there = folder.names.get(name)
        if there is node:  # two names of one file: nothing is to be done
            return 0
        if there is not None and stat.S_ISDIR(there.mode) != stat.S_ISDIR(node.mode):
            raise OSError(errno.EISDIR if stat.S_ISDIR(there.mode) else errno.ENOTDIR, new)
        if there is not None and there.names:
            raise OSError(errno.ENOTEMPTY, new)
        self.disk.change((old, None), (new, node))
        return 0

    @_change
    def write(self, path: str, data: bytes, offset: int, handle: int) -> int:
        node = self.handles[handle]
        more = max(offset + len(data) - len(node.data), 0)
        if more and (left := self.room - self.used()) < more:
            data = data[: max(len(data) - more + max(left, 0), 0)]
            if not data:
                raise OSError(errno.ENOSPC, "full")
        self._write(node, offset, data)
        return len(data)

    @_change
    def truncate(self, path: str | None, length: int, handle: int | None = None) -> int:
        self._write(self._node(path, handle), length, None)
        return 0

    @_change
    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        self.disk.node(path).times = times or (time.time_ns(),) * 2
        return 0

    @_change
    def chmod(self, path: str, mode: int) -> int:
        node = self.disk.node(path)
        node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        return 0

    @_change
    def chown(self, path: str, uid: int, gid: int) -> int:
        return 0

    # What is kept.

    @_call
    def fsync(self, path: str, only_data: int, handle: int) -> int:
        self.handles[handle].sync()
        self.disk.journal()
        return 0

    @_call
    def fsyncdir(self, path: str, only_data: int, handle: int) -> int:
        self.disk.sync_names(self.handles[handle])
        self.disk.journal()
        return 0

    # Steps of those above.

    def _node(self, path: str | None, handle: int | None) -> Node:
        if handle is not None:
            return self.handles[handle]
        assert path is not None
        return self.disk.node(path)

    @staticmethod
    def _attributes(node: Node) -> dict[str, int]:
        return {
            "st_mode": node.mode,
            "st_ino": id(node) % 2**48,
            "st_nlink": node.links,
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            "st_size": len(node.data),
            "st_atime": node.times[0],
            "st_mtime": node.times[1],
            "st_ctime": node.changed,
        }

    def _handle(self, node: Node) -> int:
        number = next(number for number in range(1, 1_000_000) if number not in self.handles)
        self.handles[number] = node
        return number

    def _new(self, path: str, mode: int) -> Node:
        if not self.free_names or self.used() >= self.room:
            raise OSError(errno.ENOSPC, path)
        node = Node(mode)
        self.disk.change((path, node))
        folder, _ = self.disk.folder(path)
        folder.times = (folder.times[0], time.time_ns())
        return node

    def _write(self, node: Node, at: int, what: bytes | None) -> None:
        node.writes.append((at, what))
        node.apply(at, what)
        node.times = (node.times[0], time.time_ns())
        node.changed = time.time_ns()


def main(place: str) -> None:
    """Serve a disk; mount it again whenever it was unmounted, until the input has ended."""
    import mfusepy

    class Fuse(mfusepy.FUSE):  # type: ignore[misc, unused-ignore]
        def truncate_fuse_3(self, path: bytes | None, length: int, file: Any) -> Any:
            """As that of version 3.1.1, which drops the number of the file: with it, there is no path."""
            handle = file.contents.fh if file else None
            return self.operations.truncate(path and path.decode(), length, handle)

    disk = Disk()
    served: list[Served] = []
    ended = threading.Event()

    def obey() -> None:
        with contextlib.suppress(ValueError):  # no such command: whoever waits for an answer gets the end
            for line in sys.stdin:
                print(served[0].command(line), flush=True)
        ended.set()  # the process that uses it has closed it, or is gone
        _unmount(Path(place), at_any_cost=True)
        os._exit(0)  # a file that is still open would keep the other thread

    obeying = threading.Thread(target=obey, daemon=True)
    while not ended.is_set():
        served[:] = [Served(disk)]
        if not obeying.is_alive():
            obeying.start()
        Fuse(served[0], place, foreground=True, nothreads=True, hard_remove=True, use_ino=True, fsname="forgetful")


if __name__ == "__main__":
    main(sys.argv[1])
