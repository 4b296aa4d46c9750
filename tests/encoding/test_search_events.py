"""One loop for templates and proposals: what is known, found, kept, failed, stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from samnb.catalog import Catalog, ImageRecord
from samnb.encoding.search_events import Kept, SearchStopped, search_events, search_here
from samnb.jobs import JobControl
from tests.support.made_up import picture


class Finds:
    """Keeps numbers of finds by file name."""

    counted = ("masks",)

    def __init__(self, done: Sequence[str] = (), known: Sequence[str] = ()) -> None:
        self.kept: dict[str, int] = {}
        self.done, self._known = set(done), known

    def is_done(self, image: ImageRecord) -> bool:
        return image.filename in self.done

    def known(self, image: ImageRecord) -> Callable[[], Kept] | None:
        return (lambda: self.keep(image, 7)) if image.filename in self._known else None

    def keep(self, image: ImageRecord, found: int) -> Kept:
        if found == 13:
            raise ValueError("unlucky")
        self.kept[image.filename] = found
        self.done.add(image.filename)
        return Kept({"masks": found}, {"masks": found})

    def keep_all(self, found: Sequence[tuple[ImageRecord, Any]]) -> Mapping[str, Kept]:
        return {}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db") as opened:
        yield opened


@pytest.fixture
def images(catalog: Catalog) -> list[ImageRecord]:
    return catalog.add_images("a", [picture(number) for number in range(5)])


def test_each_image_has_one_event_and_the_counts_agree(catalog: Catalog, images: list[ImageRecord]) -> None:
    finds = Finds(done=["img0.jpg"], known=["img1.jpg"])

    def find(image: ImageRecord) -> tuple[int, int]:
        if image.filename == "img3.jpg":
            raise ZeroDivisionError
        return 13 if image.filename == "img4.jpg" else 4, 0

    events = list(search_events(images, search=search_here(find), keeper=finds, catalog=catalog))
    assert [(event.index, event.status) for event in events] == [
        (1, "skipped"), (2, "computed"), (3, "computed"), (4, "failed"), (5, "failed"), (0, "done"),
    ]  # fmt: skip
    assert (events[1]["masks"], events[1]["cache_hit"]) == (7, True)
    assert [event["error_type"] for event in events[3:5]] == ["ZeroDivisionError", "ValueError"]
    assert events[-1].details == {"computed": 2, "skipped": 1, "failed": 2, "masks": 11, "encoded": 0}
    again = list(search_events(images[:3], search=search_here(find), keeper=finds, catalog=catalog))
    assert [event.status for event in again] == ["skipped"] * 3 + ["done"]


def test_a_picture_that_comes_twice_is_searched_once(catalog: Catalog, images: list[ImageRecord]) -> None:
    asked = []
    search = search_here(lambda image: (asked.append(image.filename), (1, 1))[1])
    events = list(search_events([images[0], images[0]], search=search, keeper=Finds(), catalog=catalog))
    assert [event.status for event in events] == ["computed", "skipped", "done"]
    assert asked == ["img0.jpg"]


def test_a_search_that_is_stopped_within_an_image_keeps_nothing_of_it(
    catalog: Catalog, images: list[ImageRecord]
) -> None:
    control, finds = JobControl(), Finds()

    def find(image: ImageRecord) -> tuple[int, int]:
        if image.filename == "img1.jpg":
            control.cancel()
            raise SearchStopped
        return 1, 0

    search = search_here(find)
    events = list(search_events(images, search=search, keeper=finds, catalog=catalog, control=control))
    assert [event.status for event in events] == ["computed", "done"]
    assert events[-1]["cancelled"] is True
    assert list(finds.kept) == ["img0.jpg"]
