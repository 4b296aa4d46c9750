"""The annotator on an image that is encoded tile by tile: nothing is read or kept whole."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import tifffile

from samnb import Session, images
from samnb.masks.part import MaskPart
from samnb.ui.common.thumbnails import thumbnail_of
from samnb.widgets import Annotator

SIDE, RADIUS = 1500, 40
FIRST, SECOND = (768, 300), (400, 1100)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("large")
    random = np.random.default_rng(0)
    pixels = (random.integers(0, 24, (SIDE, SIDE, 3)) + np.array([40, 60, 90])).astype(np.uint8)
    for middle in (FIRST, SECOND):
        cv2.circle(pixels, middle, RADIUS, (230, 200, 70), -1)
    tifffile.imwrite(folder / "slide.tif", pixels, tile=(256, 256), photometric="rgb", compression="zlib")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMNB_TILED_ABOVE", "1000000")
        patch.setattr(images, "MAX_PIXELS", 2_000_000)  # nothing can be read whole
        with Session(folder / "session") as opened:
            opened.add(folder / "slide.tif", show=False)
            yield opened


@pytest.fixture
def annotator(session: Session) -> Iterator[Annotator]:
    for annotation in session.annotations():
        session.remove(annotation)
    shown = Annotator(session)
    yield shown
    shown.close()


def is_disc(part: MaskPart, middle: tuple[int, int]) -> bool:
    x, y, width, height = part.bbox
    near = abs(x + width / 2 - middle[0]) < 4 and abs(y + height / 2 - middle[1]) < 4
    return near and abs(part.area / (np.pi * RADIUS**2) - 1) < 0.15


def click_and_accept(annotator: Annotator, middle: tuple[int, int], category: str) -> None:
    annotator.category = category
    annotator.click(*middle)
    annotator.wait(300)
    assert annotator._editor.part is not None
    assert is_disc(annotator._editor.part, middle)
    annotator.accept()


def test_click_accept_undo_edit(annotator: Annotator, session: Session) -> None:
    click_and_accept(annotator, FIRST, "disc")
    click_and_accept(annotator, SECOND, "other")
    first, second = session.annotations()
    assert (is_disc(first.part, FIRST), is_disc(second.part, SECOND)) == (True, True)
    annotator.undo()
    assert [one.category for one in session.annotations()] == ["disc"]
    annotator.edit(first.id)
    annotator.category = "renamed"
    annotator.accept()
    [edited] = session.annotations()
    assert (edited.id, edited.category, edited.area) == (first.id, "renamed", first.area)


def test_a_second_click_stays_on_the_tile_and_refines(annotator: Annotator) -> None:
    annotator.click(*FIRST)
    annotator.wait(300)
    tile = annotator._editor.prediction.region
    annotator.click(FIRST[0] + 10, FIRST[1])
    annotator.wait(300)
    draft = annotator._editor.draft
    assert (draft.region, draft.hint is not None) == (tile, True)
    assert is_disc(annotator._editor.part, FIRST)
    annotator.clear()


def test_an_annotation_is_found_by_a_click_and_brushes_say_why_they_do_nothing(
    annotator: Annotator, session: Session
) -> None:
    click_and_accept(annotator, SECOND, "disc")
    assert annotator._annotations.topmost(*SECOND) is not None
    assert annotator._annotations.topmost(SECOND[0] + 2 * RADIUS, SECOND[1]) is None
    annotator._brush.stroke([(10, 10), (30, 30)])
    assert not annotator._editor.draft
    assert len(session.annotations()) == 1


def test_the_stage_shows_the_whole_and_every_pixel_when_zoomed_in(annotator: Annotator) -> None:
    stage = annotator._layout.stage
    stage._background.wait(300)
    whole = stage._background._whole.raster
    assert whole is not None
    assert whole.box == pytest.approx((0, 0, SIDE, SIDE), abs=2)
    stage.zoom(12, (10, 10))
    stage._background.wait(300)
    part = stage._background._part.raster
    assert part is not None
    assert part.size[0] < SIDE / 4
    assert part.suffices(stage.view)


def test_a_page_without_a_kernel_gets_a_small_picture(annotator: Annotator) -> None:
    click_and_accept(annotator, FIRST, "disc")
    shown = annotator.snapshot()
    assert max(shown.shape[:2]) < 1000
    assert shown.std() > 5


def test_the_filmstrip_shows_the_overview(annotator: Annotator, session: Session) -> None:
    [image] = session.images()
    assert thumbnail_of(session, image)[:2] == b"\xff\xd8"
    assert annotator._layout.strip.thumbnails.read(image) == thumbnail_of(session, image)
