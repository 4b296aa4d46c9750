"""Small disks in a file: mounted, filled, made read-only, and cut off from their power. Linux, as root."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import itertools
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["KINDS", "LoopDisk", "loop_disk", "why_not"]

KINDS = {"ext4": 64, "xfs": 304, "btrfs": 128}
"""File systems, with the size of a small disk in MB: xfs and btrfs refuse smaller ones. Files are sparse."""

_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, struct.pack("I", 2)  # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one number
_CLONE = 0x40049409  # FICLONE
_FILLER = "filler"


def why_not(kind: str) -> str:
    """Why there can be no such disk here; "" if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "mounting a disk needs Linux and root"
    needed = {kind, "xfs"} if kind == "btrfs" else {kind}
    known = Path("/proc/filesystems").read_text().split()
    if missing := sorted(needed - set(known)):
        return f"the kernel has no {', '.join(missing)}"
    if missing := sorted(name for name in needed if shutil.which(f"mkfs.{name}") is None):
        return f"there is no mkfs.{missing[0]}"
    if not Path("/dev/loop-control").exists():
        return "the kernel has no loop devices, or this container may not use them"
    try:
        with loop_disk(kind):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"a disk cannot be mounted here: {getattr(error, 'stderr', '') or error}"


@contextlib.contextmanager
def loop_disk(kind: str, *, megabytes: int | None = None, make: tuple[str, ...] = ()) -> Iterator[LoopDisk]:
    """A new mounted disk, in memory where the system has room for files there; gone at the end of the block."""
    _own_mounts()
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None, prefix="samnb-disk-"))
    try:
        with contextlib.ExitStack() as stack:
            yield LoopDisk(folder, kind, megabytes=megabytes, make=make, until=stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _own_mounts() -> None:
    """From now on, what this process mounts is seen by it and its children alone, and ends with them.

    Another program that copies the system's mounts meanwhile would keep a disk alive, as it was before the cut.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0:  # CLONE_NEWNS; os.unshare came with Python 3.12
        raise OSError(ctypes.get_errno(), "no mounts of its own for this process")
    _run("mount", "--make-rprivate", "/")


class LoopDisk:
    """A disk, mounted at `place`.

    ext4 and xfs can be told to forget at once what is not on the disk yet. btrfs cannot: its power cut is a copy of the
    disk as it is at an instant, which an xfs below it makes in one step.
    """

    forgotten = 0  # nobody knows

    def __init__(
        self, folder: Path, kind: str, *, megabytes: int | None, make: tuple[str, ...], until: contextlib.ExitStack
    ):
        self.kind, self.place, below = kind, folder / "disk", folder
        if kind == "btrfs":
            below = LoopDisk(folder / "below", "xfs", megabytes=1000, make=(), until=until).place
        self.place.mkdir(parents=True)
        self._image, self._after = below / "image", below / "after the cut"
        with self._image.open("wb") as file:
            file.truncate((megabytes or KINDS[kind]) * 2**20)
        _run(f"mkfs.{kind}", "-q", *make, str(self._image))
        until.callback(self._unmount, at_any_cost=True)
        self.mount()

    def mount(self, options: str = "loop") -> None:
        """Mount it, as a system does that starts again."""
        _run("mount", "-o", options, str(self._image), str(self.place))

    def sync(self) -> None:
        """Keep all that is there."""
        os.sync()

    def cut(self) -> None:
        """Power off, now: what is not on the disk is lost. Then end whoever uses it, and `restart`."""
        if self.kind == "btrfs":
            with self._image.open("rb") as source, self._after.open("wb") as target:
                fcntl.ioctl(target.fileno(), _CLONE, source.fileno())
            return
        file = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(file, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(file)

    def restart(self) -> None:
        """Mount again after a cut."""
        self._unmount()
        if self._after.exists():
            self._after.replace(self._image)
        self.mount()

    def fail(self) -> None:
        """Be read-only from now on, as ext4 is after an error; then `restart`."""
        if self.kind != "ext4":
            raise NotImplementedError("only ext4 can be told to")
        _run("mount", "-o", "remount,abort", str(self.place))

    def fill(self, leave: int = 0) -> None:
        """Take all room but some bytes."""
        with open(self.place / _FILLER, "ab", buffering=0) as file:
            for step in (1 << 20, 1 << 14, 1 << 10):
                with contextlib.suppress(OSError):
                    while self._room() - leave >= step:
                        file.write(bytes(step))

    def take_all_inodes(self) -> None:
        """Take all room for names of files, and none for their bytes."""
        (self.place / _FILLER).mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            for number in itertools.count():
                (self.place / _FILLER / str(number)).touch()

    def make_room(self) -> None:
        """Undo `fill` and `take_all_inodes`."""
        filler = self.place / _FILLER
        shutil.rmtree(filler) if filler.is_dir() else filler.unlink()

    def _room(self) -> int:
        found = os.statvfs(self.place)
        return found.f_bavail * found.f_frsize

    def _unmount(self, *, at_any_cost: bool = False) -> None:
        for attempt in range(100):  # a process that was just ended may still close its files
            done = subprocess.run(["umount", str(self.place)], capture_output=True, text=True)
            if done.returncode == 0 or "not mounted" in done.stderr:
                return
            time.sleep(0.02 * min(attempt + 1, 10))
        if at_any_cost:
            subprocess.run(["umount", "-l", str(self.place)], capture_output=True)
        else:
            raise AssertionError(done.stderr)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
