"""Threads and processes that use one catalog at the same time."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from inspect import getsource
from pathlib import Path

import pytest

from samnb.catalog import Catalog
from samnb.errors import SamnbError
from tests.support.concurrency import in_threads, output_of, run
from tests.support.made_up import coin, digest, picture


def assert_no_doubles(catalog: Catalog) -> None:
    for dataset in catalog.datasets():
        images = catalog.images(dataset=dataset.name)
        assert len({image.path for image in images}) == len(images) == dataset.images
        assert [image.position for image in images] == list(range(len(images)))


def test_threads_add_at_once(catalog: Catalog) -> None:
    errors: list[SamnbError] = []

    def work(number: int) -> None:
        try:
            for start in range(0, 40, 5):
                images = catalog.add_images("shared", [picture(n) for n in range(start, start + 10)])
                catalog.finish_applied(f"template {number}", 1, "m", images[0].id, [coin(images[0])])
                catalog.mark_pixels_cached(images[0].pixel_hash, True)
                assert len(catalog.images()) >= 10
        except SamnbError as error:
            errors.append(error)

    in_threads(work, 6)
    assert errors == []
    assert_no_doubles(catalog)
    assert catalog.dataset("shared").images == 45
    assert len(catalog.annotations()) == 6 * 8
    assert catalog.dataset("shared").cached == 8


WRITER = "\n".join(
    [
        "from __future__ import annotations",
        "import sys",
        "from dataclasses import replace",
        "from hashlib import sha256",
        "from typing import Any",
        "from samnb.catalog import Catalog, ImageRecord, NewAnnotation, NewImage",
        *(getsource(function) for function in (digest, picture, coin)),
        """
path, first, turns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Catalog(path) as catalog:
    for turn in range(turns):
        for start in range(first, first + 200, 20):
            images = catalog.add_images("shared", [picture(n) for n in range(start, start + 40)])
            for image in images[:3]:
                catalog.finish_applied("coins", 1, "m", image.id, [coin(image)] * 3)
                print("wrote", flush=True)
""",
    ]
)


def test_processes_write_overlapping_sets_while_one_reads(catalog: Catalog, catalog_url: str) -> None:
    writers = [run(WRITER, catalog_url, first, 2) for first in (0, 100, 150)]
    counts = []
    while any(process.poll() is None for process in writers):
        images = catalog.images()
        assert [image.position for image in images] == list(range(len(images)))
        counts.append(len(images))
        time.sleep(0.01)
    for process in writers:
        output_of(process)
    assert counts == sorted(counts)
    assert_no_doubles(catalog)
    assert catalog.dataset("shared").images == 370
    assert_applied_whole(catalog)


def assert_applied_whole(catalog: Catalog) -> None:
    """Every applied row came with its three annotations, and no annotation without one."""
    applied = catalog.applied("coins", 1, "m")
    images = [annotation.image_id for annotation in catalog.annotations(source="template:coins@1")]
    assert applied
    assert sorted(images) == sorted([*applied] * 3)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_killed_in_the_middle(path: Path) -> None:
    Catalog(path).close()
    for wait in (0.05, 0.11, 0.17):
        process = run(WRITER, path, 0, 1000)
        assert process.stdout is not None
        assert process.stdout.readline() == "wrote\n"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with Catalog(path) as catalog, sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert_no_doubles(catalog)
            assert_applied_whole(catalog)
            catalog.add_dataset("still writable")
        connection.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_gets_connections_of_its_own(catalog: Catalog) -> None:
    catalog.add_dataset("parent")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            catalog.add_dataset("child")
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [d.name for d in catalog.datasets()] == ["parent", "child"]
    assert catalog.add_dataset("parent again").images == 0
