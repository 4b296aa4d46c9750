"""What `Session` says of values of another kind than its methods take."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samnb.errors import PromptError, StoreError, TemplateError, UnknownName
from samnb.session import Session
from samnb.session_arguments import check_of

CHECKED_WHERE_USED = {
    "Any",
    "ExampleBoxes",
    "Hashing",
    "ImageRef",
    "NDArray[np.bool_] | MaskPart",
    "NDArray[np.float32]",
    "Sequence[Sequence[float]] | NDArray[Any]",
    "Sequence[float]",
    "Sequence[int] | NDArray[Any]",
    "bool",
    "str | Mapping[str, str]",
}


def mask() -> np.ndarray[Any, Any]:
    drawn = np.zeros((60, 80), bool)
    drawn[10:30, 20:50] = True
    return drawn


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session(tmp_path_factory.mktemp("arguments") / "s") as session:
        pixels = np.full((60, 80, 3), 40, np.uint8)
        pixels[mask()] = 200
        session.add(("a.png", _png(pixels)), dataset="monday", show=False)
        session.accept_mask("a.png", mask(), category="coin")
        yield session


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", pixels)[1])


def test_each_type_is_checked_here_or_where_it_is_used() -> None:
    for name in dir(Session):
        method = getattr(Session, name)
        if callable(method) and not name.startswith("_"):
            for one in list(inspect.signature(method).parameters.values())[1:]:
                hint = str(one.annotation)
                known = check_of(hint) is not None or hint.removesuffix(" | None") in CHECKED_WHERE_USED
                assert known or one.kind is one.VAR_KEYWORD, f"{name}({one.name}: {hint})"


@pytest.mark.parametrize(
    ("method", "options", "says"),
    [
        ("accept_mask", {"image": "a.png", "mask": mask(), "category": "coin", "score": 5}, "from 0 to 1; got 5"),
        (
            "accept_mask",
            {"image": "a.png", "mask": mask(), "category": "coin", "prompt": "x"},
            "expected a Prompt; got",
        ),
        ("accept", {"prediction": 5, "category": "coin"}, r"session.predict\(\) returns; got 5"),
        ("update", {"annotation": 1, "layer": 10**30}, "layer: expected a whole number from"),
        ("update", {"annotation": 10**30, "layer": 1}, "annotation: expected an annotation, or its id"),
        ("update", {"annotation": True, "layer": 1}, "got True"),
        ("remove", {"annotation": "x"}, "annotation: expected an annotation, or its id"),
        ("merge", {"annotations": [1, "x"]}, "annotations: expected an annotation, or its id"),
        ("restore", {"annotations": 5}, "annotations: expected annotations in a list; got 5"),
        ("near_duplicates", {"threshold": "x"}, "threshold: expected a whole number from 0 to 255; got 'x'"),
        ("near_duplicates", {"threshold": math.nan}, "got nan"),
        ("prewarm", {"near": (math.nan, math.nan)}, "near: expected a finite number; got nan"),
        ("prewarm", {"near": 5}, r"near: expected \(x, y\)"),
        ("prewarm", {"region": "x"}, "region: expected"),
        ("prewarm", {"tiles": 5}, "tiles: expected 'tissue' or 'all'; got 5"),
        ("prewarm", {"images": 5}, "images: expected images in a list"),
        ("prewarm", {"images": b"a.png"}, "images: expected images in a list"),
        ("is_cached", {"image": "a.png", "region": [5]}, r"region: expected \(x0, y0, x1, y1\)"),
        ("evaluate", {"template": Path("x")}, "template: expected a template, or the name of a saved one"),
        ("sweep", {"template": "x", "grid": 5}, "grid: expected a mapping"),
        ("annotated_by_hand", {"template": "x"}, "template: expected a template; got 'x'"),
        ("images", {"dataset": 5}, "dataset: expected a name, a text such as 'monday'; got 5"),
        ("add", {"source": [], "dataset": b"x"}, "dataset: expected a name"),
        ("add", {"source": [], "view": 5}, "view: expected a View"),
        ("add_category", {"name": "rim", "color": 5}, "color: expected a name, a text such as '#ff8800'; got 5"),
        ("move_category", {"name": "coin", "position": math.inf}, "position: expected a whole number"),
        ("export", {"format": "coco", "path": 5}, "path: expected a path"),
        ("propose", {"query": 5}, "query: expected a query"),
        ("find_like", {"example": "a.png"}, "example: expected an annotation, a proposal or a prediction"),
        ("accept_proposals", {"proposals": [5], "category": "coin"}, "proposals: expected proposals; got 5"),
        ("group_proposals", {"proposals": [], "alike": math.nan}, "alike: expected a number from -1 to 1; got nan"),
        ("check_storage", {"dtypes": 5}, "dtypes: expected texts in a list; got 5"),
        ("evaluate_model", {"seed": "x"}, "seed: expected a whole number"),
        ("evaluate_model", {"on_case": 5}, "on_case: expected a function; got 5"),
    ],
)
def test_a_value_of_another_kind_is_refused(session: Session, method: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(PromptError, match=says) as told:
        getattr(session, method)(**options)
    assert len(str(told.value)) < 300


def test_an_iou_of_another_kind_is_refused(session: Session) -> None:
    with pytest.raises(TemplateError, match="min_iou: expected a number above 0 and up to 1; got 'x'"):
        session.evaluate("x", min_iou="x")  # type: ignore[arg-type]
    with pytest.raises(TemplateError, match="min_iou: expected a number above 0"):
        session.evaluate("x", min_iou=2)


def test_numbers_of_numpy_are_numbers(session: Session) -> None:
    [found] = session.annotations()
    changed = session.update(np.int64(found.id), layer=np.int16(2), score=np.float32(0.5))  # type: ignore[arg-type]
    assert (changed.id, changed.layer, changed.score) == (found.id, 2, 0.5)
    assert session.near_duplicates(np.uint8(3)).threshold == 3  # type: ignore[arg-type]
    assert session.region_pixels("a.png", np.array([0, 0, 40, 20]), level=np.int64(1)).shape == (10, 20, 3)  # type: ignore[arg-type]


def test_arrays_and_tensors_without_axes_are_numbers(session: Session) -> None:
    import torch

    [found] = session.annotations()
    for one in (np.array, torch.tensor):
        changed = session.update(one(found.id), layer=one(1), score=one(0.25))  # type: ignore[arg-type]
        assert (changed.id, changed.layer, changed.score) == (found.id, 1, 0.25)
        with pytest.raises(PromptError, match="layer: expected a whole number"):
            session.update(found.id, layer=one([1]))  # type: ignore[arg-type]
        with pytest.raises(PromptError, match="layer: expected a whole number"):
            session.update(found.id, layer=one(True))  # type: ignore[arg-type]


def test_a_device_of_torch_and_an_address_of_sqlalchemy(tmp_path: Path) -> None:
    import torch
    from sqlalchemy import make_url

    url: Any = make_url(f"sqlite:///{tmp_path}/other.db")
    device: Any = torch.device("cpu")
    Session(tmp_path / "s", device=device, database_url=url).close()
    assert (tmp_path / "other.db").exists()
    with pytest.raises(UnknownName, match="Unknown device 5"):
        Session(tmp_path / "s", device=5)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"expected a URL such as .* got int"):
        Session(tmp_path / "s", database_url=5)  # type: ignore[arg-type]


def test_one_image_is_as_good_as_a_list_of_it(session: Session) -> None:
    [image] = session.images()
    for one in ("a.png", Path(image.path), image):
        report = session.keep_one_of_each(keep=one, into=f"of {type(one).__name__}")  # type: ignore[arg-type]
        assert [kept.path for kept in report.kept] == [image.path]
        assert session.proposals(images=one) == []  # type: ignore[arg-type]


def test_one_text_is_as_good_as_a_list_of_it(session: Session) -> None:
    assert session.add_attribute("edge", kind="choice", choices="worn").choices == ("worn",)
    session.remove_attribute("edge")
    with pytest.raises(UnknownName, match="Unknown storage dtype 'int4'"):
        session.check_storage(["a.png"], dtypes="int4")
    with pytest.raises(UnknownName, match="Unknown baseline 'grabcat'"):
        session.evaluate_model(baselines="grabcat")


def test_a_dtype_and_a_name_that_are_none(session: Session) -> None:
    with pytest.raises(UnknownName, match="storage dtype 'int4'"):
        session.check_storage(["a.png"], dtypes=["int4"])
    [found] = session.annotations()
    for name in ("", "a@2"):
        with pytest.raises(TemplateError, match="template name: expected some text without '@'"):
            session.save_like(session.like(found), name, category="coin")


def test_a_checked_method_is_itself_for_those_who_look() -> None:
    assert inspect.signature(Session.near_duplicates).parameters["threshold"].default == 51
    assert Session.look_at is Session.prefetch
    assert (Session.near_duplicates.__doc__ or "").startswith("Groups of images")
