"""The file system of a path, and whether SQLite's write-ahead log is safe there.

The log needs memory that all processes share. On a network file system two computers, and on some two processes of
one computer, do not share it: "locking protocol" errors are the good outcome, a damaged database the bad one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import NetworkFolder
from ..settings import setting

MOUNTINFO = "/proc/self/mountinfo"

# Not 9p and virtiofs: containers have them for their own, local root.
_NETWORK = re.compile(
    r"(nfs\d*|cifs|smb\d?|smbfs|ncpfs|afs|lustre|gpfs|beegfs|ceph|glusterfs|pvfs2|orangefs|panfs|wekafs|ocfs2|gfs2"
    r"|davfs|drvfs|fuse\.(sshfs|s3fs|goofys|rclone|gcsfuse|blobfuse2?|mount-s3|juicefs|glusterfs|ceph(-fuse)?|davfs2?|beegfs))"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """The path of a mounted file system, and its type, such as ``ext4`` or ``nfs4``."""

    point: str
    kind: str


def mounts(text: str | None = None) -> list[Mount]:
    """All mounts in the order they were made; empty if the system does not list them (only Linux does).

    Parameters
    ----------
    text : str, optional
        The contents of ``/proc/self/mountinfo``; None: read it.

    Examples
    --------
    >>> mounts("36 35 98:0 /mnt1 /my\\\\040data rw,noatime master:1 - nfs4 server:/data rw\\n")
    [Mount(point='/my data', kind='nfs4')]
    """
    if text is None:
        try:
            text = Path(MOUNTINFO).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:  # macOS and Windows have no such file
            return []
    found = []
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if dash and len(fields) > 4:
            found.append(Mount(_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4]), after.split(" ")[0]))
    return found


def mount_of(path: Path, table: Sequence[Mount] | None = None) -> Mount | None:
    """The mount a path is on, links followed; None if unknown.

    Examples
    --------
    >>> table = [Mount("/", "ext4"), Mount("/home", "nfs4"), Mount("/home/ann/scratch", "xfs")]
    >>> mount_of(Path("/home/ann/coins"), table).kind, mount_of(Path("/home2"), table).kind
    ('nfs4', 'ext4')
    """
    real = Path(os.path.realpath(path))
    places = {str(place) for place in (real, *real.parents)}
    # The deepest; of two at one place the later, which hides the earlier.
    holding = [mount for mount in (mounts() if table is None else table) if mount.point in places]
    return max(reversed(holding), key=lambda mount: len(mount.point), default=None)


def is_network(kind: str) -> bool:
    """Whether a file system of that type is another computer's.

    >>> is_network("nfs4"), is_network("fuse.sshfs"), is_network("ext4"), is_network("overlay")
    (True, True, False, False)
    """
    return _NETWORK.fullmatch(kind) is not None


def check_local(path: Path, table: Sequence[Mount] | None = None) -> bool:
    """True if the write-ahead log may be used; False if it may not, and the user insists on the place.

    Raises
    ------
    NetworkFolder
        On a network file system, and ``SAMNB_NETWORK_CATALOG`` is not set.
    """
    mount = mount_of(path, table)
    if mount is None or not is_network(mount.kind):
        return True
    if not setting("SAMNB_NETWORK_CATALOG"):
        raise NetworkFolder(path, mount.kind, mount.point)
    return False
