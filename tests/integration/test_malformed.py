"""Damaged files of every format: adding never crashes, never hangs, leaves no half row, and says what is wrong.

SAMNB_MALFORMED=20000 tries that many instead of some hundred.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

import samnb.images.opening
import samnb.ingest.reading
from samnb.catalog import Catalog
from samnb.catalog.tables import image_table
from samnb.errors import ImageError, ImageUnreadable
from samnb.images import content_hash, pixel_hash, read_picture, read_pixels
from samnb.images.reading import pixel_hashes
from tests.support.adding import add_pictures
from tests.support.malformed import DAMAGES, damaged, real_files
from tests.support.waiting import Stopwatch

MANY = int(os.environ.get("SAMNB_MALFORMED", "374"))
SECONDS_EACH = 20  # a hang is minutes
GOOD = "good.png"


@pytest.fixture(autouse=True)
def smaller_limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Headers that promise much are met on both sides of a limit that does not take gigabytes to reach."""
    monkeypatch.setattr(samnb.images, "MAX_PIXELS", 5_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db") as catalog:
        yield catalog


class Clock:
    """How long each file keeps the processor that reads it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        monkeypatch.setattr(samnb.ingest.reading, "read_picture", self)
        monkeypatch.setattr(samnb.ingest.reading, "read_large", partial(self, read=samnb.ingest.reading.read_large))

    def __call__(self, path: Path, read: Callable[[Path], object] = read_picture) -> object:
        began = time.thread_time()
        try:
            return read(path)
        finally:
            with self._lock:
                self.seconds[Path(path).name] = time.thread_time() - began


def check_rows(catalog: Catalog, files: Path) -> None:
    """Every row is whole and says what is in its file."""
    with catalog._database.read() as connection:
        rows = connection.execute(select(image_table)).mappings().all()
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    for row in rows:
        assert None not in row.values(), row
        assert row["content_hash"] == content_hash(files / row["filename"])
        pixels = read_pixels(files / row["filename"])
        assert pixels.shape == (row["height"], row["width"], 3)
        # The hash of a picture deeper than 8 bits is that of its own values.
        first, *others = pixel_hashes(files / row["filename"])
        assert row["pixel_hash"] == first
        assert pixel_hash(pixels) in (first, *others)


def test_there_are_files_of_every_format_and_they_are_good(tmp_path: Path, catalog: Catalog) -> None:
    for name, content in real_files().items():
        (tmp_path / f"whole.{name}").write_bytes(content)
    report = add_pictures(catalog, tmp_path, tmp_path, dataset="whole", is_cached=lambda _: False)
    assert report.failed == ()
    assert len(report.images) == len(real_files()) >= 32
    assert MANY >= 300
    assert len({content for number in range(374) for content in [damaged(number)[1]]}) > 300, "not the same ones again"


def test_hundreds_of_damaged_files(tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    files = tmp_path / "files"
    files.mkdir()
    for number in range(MANY):
        name, content = damaged(number)
        (files / name).write_bytes(content)
    (files / GOOD).write_bytes(real_files()["png"])
    report = add_pictures(catalog, tmp_path, files, dataset="damaged", is_cached=lambda _: False)
    added, failed = {i.filename for i in report.images}, {Path(f.path).name: f.reason for f in report.failed}
    assert added | set(failed) == {path.name for path in files.iterdir()}
    assert added & set(failed) == set()
    assert GOOD in added, "the rest went on"
    assert len(failed) > MANY / 2
    for name, reason in failed.items():
        assert name not in reason, "the report names the file beside the reason"
        assert len(reason) > 20, reason
    slow = {name: seconds for name, seconds in clock.seconds.items() if seconds > SECONDS_EACH}
    assert slow == {}
    assert {i.filename for i in catalog.images()} == added
    check_rows(catalog, files)
    # What is bad stays bad, what is known is not read again.
    clock.seconds.clear()
    again = add_pictures(catalog, tmp_path, files, dataset="damaged", is_cached=lambda _: False)
    assert (again.added, again.failed) == (0, report.failed)
    assert set(clock.seconds) == set(failed)


@st.composite
def broken_files(draw: st.DrawFn) -> bytes:
    """A real file with a few edits, which hypothesis can make fewer."""
    content = bytearray(draw(st.sampled_from(sorted(real_files().values()))))
    for _ in range(draw(st.integers(0, 6))):
        if not content:
            break
        at = draw(st.integers(0, len(content) - 1))
        edit = draw(st.sampled_from(["set", "cut", "insert", "drop", "copy"]))
        if edit == "set":
            content[at] = draw(st.integers(0, 255))
        elif edit == "cut":
            del content[at:]
        elif edit == "insert":
            content[at:at] = draw(st.binary(max_size=40))
        elif edit == "drop":
            del content[at : at + draw(st.integers(1, 64))]
        else:
            content[at:at] = content[: draw(st.integers(1, 64))]
    return bytes(content)


@settings(max_examples=max(200, MANY // 10), deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.one_of(broken_files(), st.binary(max_size=300)))
@example(content=b"")
@example(content=b"\x89PNG\r\n\x1a\n")
def test_any_bytes_give_pixels_or_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "any.png"
    file.write_bytes(content)
    told = ""
    try:
        picture = read_picture(file)
    except ImageError as error:
        told = str(error)
    if told:
        assert str(file) in told
    else:
        assert picture.pixels.shape == (*picture.size_hw, 3)
        assert picture.pixels.dtype == np.uint8
        assert len(picture.perceptual_hash) == len(picture.pixel_hash) == 64


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(contents=st.lists(broken_files(), min_size=1, max_size=6))
def test_any_files_beside_a_good_one(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("any")
    sources = [(f"{number}.png", content) for number, content in enumerate(contents)] + [(GOOD, real_files()["png"])]
    with Catalog(folder / "catalog.db") as catalog:
        report = add_pictures(catalog, folder, sources, dataset="any", is_cached=lambda _: False)
        assert len(report.images) + len(report.failed) == len(sources)
        assert GOOD in {i.filename for i in report.images}
        assert {f.path for f in report.failed} <= {name for name, _ in sources}
        assert {i.path for i in catalog.images()} == {str(p) for p in (folder / "images").rglob("*.png")}


# -- what is made to be slow or large ------------------------------------------------------------------


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = real_files()["progressive.jpg"]
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    bomb = tmp_path / "scans.jpg"
    bomb.write_bytes(content[:last] + scan * 5000 + content[-2:])
    monkeypatch.setattr(samnb.images.opening, "_SCANNED_PIXELS", 96 * 64 * 1000)
    watch = Stopwatch()
    with pytest.raises(ImageUnreadable, match=r"a JPEG of 5,0\d\d scans, made to be slow"):
        read_picture(bomb)
    assert watch.seconds < 30


def test_a_file_too_large_for_a_picture_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "disk.png"
    with file.open("wb") as stream:
        stream.truncate(samnb.images.MAX_FILE_BYTES + 1)  # takes no room
    with pytest.raises(ImageUnreadable, match=r"disk.png: 4,294,967,297 bytes, more than the limit of 4,294,967,296"):
        read_picture(file)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a process's memory here")
def test_headers_that_promise_much_take_no_memory(tmp_path: Path) -> None:
    huge = [n for n in range(374) if "-huge." in damaged(n)[0]]
    for number in huge:
        name, content = damaged(number)
        (tmp_path / name).write_bytes(content)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from samnb import images\n"
        "from samnb.errors import ImageError\n"
        "images.MAX_PIXELS = 5_000_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "for file in Path(sys.argv[1]).iterdir():\n"
        "    try: images.read_picture(file)\n"
        "    except ImageError as error: assert file.name in str(error)\n"
        "print('all read')"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "all read", done.stderr[-2000:]
    assert len(huge) >= len(real_files()) - 1
    assert len(DAMAGES) >= 10
