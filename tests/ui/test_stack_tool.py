"""The annotator on a stack: sliders, copies from slice to slice, channels and limits, the scale bar."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from samnb import Session
from samnb.errors import ImageChanged
from samnb.images.lazy import PixelMapping
from samnb.images.value_preview import ValuePreview
from samnb.ui.annotator.draft import Draft
from samnb.ui.annotator.scale_bar import round_length

SLICES, H, W = 5, 60, 80


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (SLICES, 2, H, W), dtype=np.uint16)


@pytest.fixture
def session(tmp_path: Path, values: np.ndarray) -> Iterator[Session]:
    about = {"axes": "ZCYX", "unit": "um"}
    tifffile.imwrite(tmp_path / "plate.tif", values, imagej=True, resolution=(2, 2), metadata=about)
    with Session(tmp_path / "session") as opened:
        opened.add(tmp_path / "plate.tif", stack="z", show=False)
        mask = np.zeros((H, W), bool)
        mask[10:40, 10:50] = True
        opened.accept_mask("plate.tif[z=0]", mask, category="cell")
        yield opened


@pytest.fixture
def annotator(session: Session) -> Iterator[Any]:
    shown = session.annotate("plate.tif[z=0]")
    shown.wait()
    yield shown
    assert shown.error == ""
    shown.close()


def test_the_slider_moves_through_the_stack(annotator: Any) -> None:
    bar = annotator._layout.stack_bar
    assert list(bar.sliders) == ["z"]
    assert (bar.sliders["z"].max, bar.layout.display) == (SLICES - 1, None)
    bar.sliders["z"].value = 3
    assert annotator.image.filename == "plate.tif[z=3]"
    annotator.previous()
    assert bar.sliders["z"].value == 2


def test_copies_go_to_the_next_slice_and_through_the_stack(annotator: Any, session: Session) -> None:
    annotator.copy_to_next_slice()
    assert annotator.image.filename == "plate.tif[z=1]"
    assert [a.category for a in annotator.annotations] == ["cell"]
    annotator.copy_through()
    counts = [len(session.annotations(image=f"plate.tif[z={z}]")) for z in range(SLICES)]
    assert counts == [1] * SLICES
    annotator.undo()
    assert [len(session.annotations(image=f"plate.tif[z={z}]")) for z in range(SLICES)] == [1, 1, 0, 0, 0]
    annotator.redo()
    assert len(annotator.annotations) == 1
    annotator.undo()
    annotator.undo()
    assert len(session.annotations()) == 1
    annotator.go_to_slice("z", SLICES - 1)
    annotator.copy_to_next_slice()
    assert annotator.status == "this is the last slice"


def test_what_is_shown_changes_at_once_and_what_is_encoded_on_use(
    annotator: Any, session: Session, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setattr(annotator._layout.stage, "replace_picture", shown.append)
    before = session.image("plate.tif[z=0]")
    annotator.open_channels()
    annotator.wait()
    panel = annotator._layout.stack_bar.panel
    assert [row[0].description for row in panel.rows] == ["channel 0", "channel 1"]
    panel.rows[0][2].value = (1000, 2000)
    panel.rows[1][0].value = False
    annotator.wait()
    expected = np.zeros((H, W, 3), np.uint8)
    expected[..., 0] = (np.clip((values[0, 0].astype(float) - 1000) / 1000, 0, 1) * 255).round()
    np.testing.assert_allclose(shown[-1].astype(int), expected, atol=1)
    assert session.image("plate.tif[z=0]") == before
    annotator.use_view(panel.mapping)
    annotator.wait()
    now = session.image("plate.tif[z=0]")
    assert now.pixel_hash != before.pixel_hash
    assert now.id == before.id
    assert len(session.annotations(image=now)) == 1
    np.testing.assert_allclose(session.pixels(now).astype(int), expected, atol=1)
    assert {str(session.mapping(image)) for image in session.images()} == {str(panel.mapping)}
    annotator.go_to_slice("z", 2)
    np.testing.assert_array_equal(annotator.session.pixels(annotator.image)[..., 1], 0)


def test_the_scale_bar_is_as_long_as_it_says(annotator: Any, session: Session) -> None:
    stage = annotator._layout.stage
    assert "µm" in stage.scale_bar.value
    um, pixels = _read(stage.scale_bar.value)
    assert pixels / stage.view.scale * 0.5 == pytest.approx(um, rel=0.01)
    annotator.zoom_in()
    closer, width = _read(stage.scale_bar.value)
    assert width / stage.view.scale * 0.5 == pytest.approx(closer, rel=0.01)
    session.set_pixel_size(2.0)
    annotator.show("plate.tif[z=1]")
    um, pixels = _read(stage.scale_bar.value)
    assert pixels / stage.view.scale * 2.0 == pytest.approx(um, rel=0.01)


def _read(text: str) -> tuple[float, float]:
    width = float(text.partition("width:")[2].partition("px")[0])
    number, unit = text.partition(">")[2].partition("<")[0].split()
    return float(number) * {"nm": 1e-3, "µm": 1.0, "mm": 1e3}[unit], width


@pytest.mark.parametrize("longest", [0.0137, 1.0, 3.3, 71.0, 200.0, 9e7])
def test_a_round_length_is_the_longest_that_fits(longest: float) -> None:
    found = round_length(longest)
    assert found <= longest * 1.001 < 2.6 * found
    digits = f"{found:e}".partition("e")[0].rstrip("0").rstrip(".")
    assert digits in ("1", "2", "5")


def test_other_pictures_have_neither_bar_nor_scale(tmp_path: Path) -> None:
    with Session(tmp_path / "plain") as plain:
        plain.add(np.zeros((30, 40, 3), np.uint8), show=False)
        shown = plain.annotate()
        assert shown._layout.stack_bar.layout.display == "none"
        assert shown._layout.stage.scale_bar.value == ""
        shown.close()


def test_a_preview_that_comes_after_a_reset_is_not_shown(
    annotator: Any, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotator.open_channels()
    annotator.wait()
    gate, pixels = threading.Event(), PixelMapping.pixels

    def slow(mapping: PixelMapping, values: np.ndarray) -> np.ndarray:
        assert gate.wait(300)
        return pixels(mapping, values)

    monkeypatch.setattr(PixelMapping, "pixels", slow)
    shown: list[np.ndarray] = []
    monkeypatch.setattr(annotator._layout.stage, "replace_picture", shown.append)
    annotator._layout.stack_bar.panel.rows[0][2].value = (1000, 2000)
    as_it_is = session.pixels("plate.tif[z=0]")
    monkeypatch.setattr(session, "pixels", lambda image: as_it_is)
    annotator.reset_view()
    gate.set()
    annotator.wait()
    np.testing.assert_array_equal(shown[-1], as_it_is)


def test_another_view_keeps_drafts_and_steps(annotator: Any) -> None:
    mask = np.zeros((H, W), bool)
    mask[5:9, 5:9] = True
    annotator._editor.do("stroke", Draft().painted(np.zeros_like(mask), mask))
    annotator.open_channels()
    annotator.wait()
    panel = annotator._layout.stack_bar.panel
    panel.rows[0][2].value = (1000, 2000)
    annotator.use_view(panel.mapping)
    annotator.wait()
    np.testing.assert_array_equal(annotator.mask, mask)
    annotator.undo()
    assert annotator.mask is None


def test_that_another_view_is_used_is_still_said_when_the_panel_has_its_values(annotator: Any) -> None:
    annotator.use_view(_other_view(annotator))
    for _ in range(2):
        annotator.wait()
    assert annotator._layout.stack_bar.panel.is_open
    assert annotator.status == "5 images shown and encoded by this view"
    annotator.next()
    annotator.wait()
    assert "this view" not in annotator.status


@pytest.fixture
def gate(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Another view is there once this is set."""
    opened, use_view = threading.Event(), session.use_view

    def slow(image: Any, view: Any) -> Any:
        assert opened.wait(300)
        return use_view(image, view)

    monkeypatch.setattr(session, "use_view", slow)
    yield opened
    opened.set()


def _other_view(annotator: Any) -> PixelMapping:
    annotator.open_channels()
    annotator.wait()
    panel = annotator._layout.stack_bar.panel
    panel.rows[0][2].value = (1000, 2000)
    annotator.wait()
    return panel.mapping


def test_nothing_is_accepted_while_another_view_is_read(
    annotator: Any, session: Session, gate: threading.Event
) -> None:
    mask = np.zeros((H, W), bool)
    mask[5:9, 5:9] = True
    annotator._editor.do("stroke", Draft().painted(np.zeros_like(mask), mask))
    mapping = _other_view(annotator)
    annotator.use_view(mapping)
    annotator.accept()
    assert "another view is read" in annotator.status
    assert (annotator.editing, len(session.annotations())) == (True, 1)
    second = PixelMapping(mapping.channels, 0.5, "by hand")
    annotator.use_view(second)
    assert "the view before is still read" in annotator.status
    gate.set()
    annotator.wait()
    assert {str(session.mapping(image)) for image in session.images()} == {str(mapping)}
    annotator.accept()
    assert (annotator.editing, len(session.annotations())) == (False, 2)


def test_a_click_that_fails_while_the_view_changes_gets_its_mask_afterwards(
    annotator: Any, session: Session, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping, editor = _other_view(annotator), annotator._editor
    before, predict = annotator.image, session.predict

    def changed(image: Any, **more: Any) -> Any:
        if image.pixel_hash == before.pixel_hash:
            raise ImageChanged(image.path, image.dataset)
        return predict(image, **more)

    monkeypatch.setattr(session, "predict", changed)
    annotator.use_view(mapping)
    annotator.click(30, 25)
    editor.wait(300)
    assert (annotator.prompt.points, annotator.prediction) == (((30, 25),), None)
    gate.set()
    annotator.wait()
    annotator.wait()
    assert annotator.prediction is not None


def test_another_view_leaves_the_panel_of_another_picture_alone(
    tmp_path: Path, annotator: Any, session: Session, values: np.ndarray, gate: threading.Event
) -> None:
    tifffile.imwrite(tmp_path / "other.tif", values[0], imagej=True, metadata={"axes": "CYX"})
    session.add(tmp_path / "other.tif", show=False)
    annotator.use_view(_other_view(annotator))
    annotator.show("other.tif")
    annotator._stacks.worker.cancel()  # its values, which are read after the view: here they are there before
    source, view = session.open_source("other.tif")
    with source:
        preview = ValuePreview(source, dict(view.at), whole=True)
        annotator._stacks._take_values((annotator.image.id, preview, view.mapping), None)
        gate.set()
        annotator.wait()
        assert "5 images shown and encoded" in annotator.status
        shown: list[np.ndarray] = []
        annotator._layout.stage.replace_picture = shown.append
        annotator._layout.stack_bar.panel.gamma.value = 2.0
        annotator.wait()
    assert len(shown) == 1


def test_a_view_that_comes_after_the_annotator_was_closed_draws_nothing(
    session: Session, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotator = session.annotate("plate.tif[z=0]")
    mask = np.zeros((H, W), bool)
    mask[5:9, 5:9] = True
    annotator._editor.do("stroke", Draft().painted(np.zeros_like(mask), mask))
    annotator.use_view(_other_view(annotator))
    annotator.close()
    shown: list[Any] = []
    monkeypatch.setattr(annotator._layout.stage, "show_picture", shown.append)
    gate.set()
    annotator.wait()
    assert shown == []
    again = session.annotate("plate.tif[z=0]")
    np.testing.assert_array_equal(again.mask, mask)  # the draft is the session's
    again.close()


def test_channels_of_a_picture_that_is_never_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMNB_TILED_ABOVE", "100000")
    monkeypatch.setattr("samnb.images.MAX_PIXELS", 200_000)
    random = np.random.default_rng(0)
    values = random.integers(0, 4000, (2, 500, 600), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "slide.ome.tif", values, tile=(128, 128), metadata={"axes": "CYX"})
    expected = np.zeros((500, 600, 3), np.uint8)
    expected[..., 0] = (np.clip((values[0].astype(float) - 1000) / 1000, 0, 1) * 255).round()
    with Session(tmp_path / "session") as session:
        [before] = session.add(tmp_path / "slide.ome.tif", show=False).images
        annotator = session.annotate(before)
        annotator.open_channels()
        annotator.wait()
        panel, stage = annotator._layout.stack_bar.panel, annotator._layout.stage
        assert [row[0].description for row in panel.rows] == ["channel 0", "channel 1"]
        shown: list[Any] = []
        monkeypatch.setattr(stage, "replace_picture", shown.append)
        panel.rows[0][2].value = (1000, 2000)
        panel.rows[1][0].value = False
        annotator.wait()
        np.testing.assert_allclose(shown[-1].exact((100, 50, 300, 90)), expected[50:90, 100:300], atol=1)
        assert session.image(before.id) == before
        annotator.reset_view()
        as_it_was = session.region_pixels(before, (100, 50, 300, 90))
        np.testing.assert_array_equal(shown[-1].exact((100, 50, 300, 90)), as_it_was)
        panel.rows[0][2].value = (1000, 2000)
        panel.rows[1][0].value = False
        annotator.zoom_in()
        view = stage.view
        annotator.use_view(panel.mapping)
        annotator.wait()
        assert stage.view == view
        now = session.image(before.id)
        assert now.pixel_hash != before.pixel_hash
        np.testing.assert_allclose(session.region_pixels(now, (100, 50, 300, 90)), expected[50:90, 100:300], atol=1)
        annotator.click(300, 250)
        annotator.wait(300)
        annotator.accept()
        assert (len(session.annotations(image=now)), annotator.error) == (1, "")
        annotator.close()
