"""Where a path is mounted, and what the catalog does on another computer's disk."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import samnb.catalog.database
import samnb.catalog.engines
import samnb.catalog.file_systems
from samnb.catalog import Catalog
from samnb.catalog.file_systems import Mount, check_local, is_network, mount_of, mounts
from samnb.errors import NetworkFolder

MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:45 / /home rw,relatime shared:20 master:3 - nfs4 server:/export/home rw,vers=4.2
41 40 8:17 / /home/ann/scratch rw - xfs /dev/sdb1 rw
42 27 0:46 / /mnt/my\\040data rw - cifs //server/data rw
43 27 0:47 / /mnt/lab rw - ext4 /dev/sdc1 rw
44 27 0:48 / /mnt/lab rw - fuse.sshfs lab: rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ann/coins/catalog.db", "nfs4"),
        ("/home/ann/scratch/catalog.db", "xfs"),
        ("/home/ann/scratches", "nfs4"),
        ("/home2/ann", "ext4"),
        ("/mnt/my data/x", "cifs"),
        ("/mnt/lab/x", "fuse.sshfs"),  # what was mounted there later hides what was there
        ("/", "ext4"),
    ],
)
def test_the_deepest_mount_counts(path: str, kind: str) -> None:
    mount = mount_of(Path(path), mounts(MOUNTINFO))
    assert mount is not None
    assert mount.kind == kind


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    table = [Mount("/", "ext4"), Mount(str((tmp_path / "far").resolve()), "nfs")]
    assert mount_of(tmp_path / "near" / "catalog.db", table) == table[1]


def test_no_table_no_refusal() -> None:
    assert mount_of(Path("/home"), []) is None
    assert check_local(Path("/home"), [])


def test_this_machine_is_read() -> None:
    assert bool(mounts()) == Path("/proc/self/mountinfo").exists()


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "fuse.rclone"])
def test_disks_of_other_computers(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "apfs", "fuse.ntfs-3g", "9p"])
def test_disks_of_this_computer(kind: str) -> None:
    assert not is_network(kind)


@pytest.fixture
def on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path whose folder is said to be on NFS."""
    folder = tmp_path / "home"
    table = [Mount("/", "ext4"), Mount(str(folder), "nfs4")]
    monkeypatch.setattr(samnb.catalog.file_systems, "mounts", lambda: table)
    monkeypatch.delenv("SAMNB_NETWORK_CATALOG", raising=False)
    return folder / "catalog.db"


def test_a_catalog_there_is_refused_with_advice(on_nfs: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkFolder) as caught:
        Catalog(on_nfs)
    for advice in (str(on_nfs), "nfs4", "local disk", "database_url", "DATABASE_URL", "SAMNB_NETWORK_CATALOG=1"):
        assert advice in str(caught.value)
    assert not on_nfs.parent.exists()
    with Catalog(tmp_path / "local.db") as catalog:
        assert catalog.images() == []


def test_one_who_insists_gets_it_without_the_log(on_nfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMNB_NETWORK_CATALOG", "1")
    for _ in range(2):
        with Catalog(on_nfs) as catalog:
            catalog.add_dataset("monday")
            assert [d.name for d in catalog.datasets()] == ["monday"]
    with closing(sqlite3.connect(on_nfs)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]


def test_a_log_that_is_there_is_given_up(on_nfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Catalog(tmp_path / "local.db") as catalog:
        catalog.add_dataset("monday")
    on_nfs.parent.mkdir()
    (tmp_path / "local.db").rename(on_nfs)
    monkeypatch.setenv("SAMNB_NETWORK_CATALOG", "1")
    with Catalog(on_nfs) as catalog:
        assert [d.name for d in catalog.datasets()] == ["monday"]
    with closing(sqlite3.connect(on_nfs)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]


# -- a fault of SQLite --------------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT * FROM images")
print(1, flush=True)
input()
"""


@pytest.mark.parametrize(("version", "told"), [((3, 40, 1), True), ((3, 51, 3), False)])
def test_two_processes_on_an_old_sqlite_are_told_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    version: tuple[int, ...],
    told: bool,
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    monkeypatch.setattr(samnb.catalog.engines, "_warned", [])
    path = tmp_path / "catalog.db"
    with Catalog(path), Catalog(path):  # two of one process: nothing to tell
        pass
    assert "can, rarely, damage" not in caplog.text
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        with caplog.at_level(logging.WARNING, "samnb.catalog.database"):
            for _ in range(2):
                Catalog(path).close()
        assert caplog.text.count("can, rarely, damage") == int(told)
    finally:
        other.communicate("\n", timeout=300)
