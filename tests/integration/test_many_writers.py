"""Four processes add overlapping folders of 5,000 files while a fifth reads; one of the four is killed midway."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
import time
import zlib
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import make_url

from samnb.catalog import Catalog

EACH = 5000
FOLDERS = 8
CHILD = Path(__file__).parents[1] / "support" / "writer_child.py"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")


def png(number: int) -> bytes:
    """A picture of 16 × 16 pixels, of which no two are the same."""
    row = b"\0" + sha256(str(number).encode()).digest()[:16]
    parts = {b"IHDR": struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0), b"IDAT": zlib.compress(row * 16), b"IEND": b""}
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class Crowd:
    """Processes on one session, with a log each."""

    def __init__(self, place: Path, url: str):
        self.place, self.url = place, url
        self.start = place / "start"
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def send(self, name: str, role: str, *rest: object) -> None:
        command = [CHILD, role, self.place / "session", self.url, self.log(name), self.start, *rest]
        words = [sys.executable, *map(str, command)]
        self.processes[name] = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def log(self, name: str) -> Path:
        return self.place / f"{name}.log"

    def lines(self, name: str) -> list[str]:
        return self.log(name).read_text().splitlines() if self.log(name).exists() else []

    def wait_for(self, name: str, lines: int) -> None:
        end = time.monotonic() + 300
        while len(self.lines(name)) < lines:
            assert time.monotonic() < end, f"{name} stands still: {self.lines(name)[-3:]}"
            if self.processes[name].poll() is not None:
                pytest.fail(f"{name} ended: {self.processes[name].communicate()[1][-3000:]}")
            time.sleep(0.01)

    def end_of(self, name: str) -> None:
        """It did its work and had nothing to complain of."""
        _, said = self.processes.pop(name).communicate(timeout=600)
        complaints = [line for line in said.splitlines() if "another process has this catalog open" not in line]
        assert not [line for line in complaints if "locked" in line or "Error" in line], said[-3000:]
        assert self.lines(name)[-1].startswith(("done", "read")), said[-3000:]

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_many_writers_a_reader_and_one_that_is_killed(catalog_url: str, tmp_path: Path) -> None:
    folders = [tmp_path / "photos" / str(number) for number in range(FOLDERS)]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        for file in range(number * EACH // 4, (number + 1) * EACH // 4):
            (folder / f"{file:05}.png").write_bytes(png(file))
    total = FOLDERS * (EACH // 4)
    crowd = Crowd(tmp_path, catalog_url)
    try:
        # Half of all to each, every folder to two of them.
        shares = [[folders[(2 * writer + step) % FOLDERS] for step in range(4)] for writer in range(4)]
        for writer, share in enumerate(shares):
            crowd.send(f"writer{writer}", "write", *share)
        crowd.send("reader", "read", tmp_path / "stop")
        for name in [*crowd.processes]:
            crowd.wait_for(name, 1)
        crowd.start.touch()
        crowd.wait_for("writer0", 1 + EACH // 5)
        crowd.processes["writer0"].kill()
        crowd.processes.pop("writer0").communicate()
        written = {line for line in crowd.lines("writer0")[1:] if line.endswith(".png")}
        assert len(written) >= EACH // 5
        assert not crowd.lines("writer0")[-1].startswith("done"), "killed too late to show anything"
        with Catalog(catalog_url) as catalog:
            assert written <= {image.filename for image in catalog.images()}
        crowd.send("again", "write", *shares[0])
        for name in ("writer1", "writer2", "writer3", "again"):
            crowd.end_of(name)
        (tmp_path / "stop").touch()
        crowd.end_of("reader")
    finally:
        crowd.kill()
    assert crowd.lines("again")[-1] == f"done {4 * (EACH // 4)}"
    assert len(crowd.lines("again")) < 2 + EACH - len(written)  # what was written is not read again
    check(catalog_url, total)


def check(url: str, total: int) -> None:
    """Each file once, with the hashes it has, and the database whole."""
    with Catalog(url) as catalog:
        images = catalog.images()
        assert [dataset.images for dataset in catalog.datasets()] == [total]
    assert len(images) == len({image.path for image in images}) == total
    assert [image.position for image in images] == list(range(total))
    assert len({image.pixel_hash for image in images}) == total
    assert all(image.content_hash == sha256(Path(image.path).read_bytes()).hexdigest() for image in images)
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(str(make_url(url).database))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
