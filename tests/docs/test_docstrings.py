"""What users call is documented in full: every parameter, result, error, and an example that runs as a doctest."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

import samnb

pytest.importorskip("numpydoc", reason="needs numpydoc, of the extra docs")
from numpydoc.docscrape import FunctionDoc

MODULES = ("models", "images", "masks", "jobs", "demo", "templates")
"""Their functions and classes count too; but protocols are for those who write a model."""

WITHOUT_ERRORS = {
    *("EmbeddingCache.flush", "EmbeddingCache.stats", "EmbeddingCache.unsubscribe"),
    *("Prediction.best_for",),
    *("Prompt.moved", "Prompt.scaled"),
    *("Session.annotated_by_hand", "Session.remove", "Session.upload"),
    *("samnb.images.suffix_for",),
    *("samnb.jobs.Event.get",),
    *("samnb.jobs.Job.subscribe",),
    *("samnb.jobs.Signal.emit", "samnb.jobs.Signal.subscribe", "samnb.jobs.Signal.unsubscribe"),
    *("samnb.jobs.found_text", "samnb.jobs.summary_text"),
    *("samnb.masks.Polygon.moved",),
    *("samnb.masks.category_color",),
    *("samnb.models.FoundObjects.above",),
    *("samnb.models.ModelInfo.of",),
    *("samnb.models.draws", "samnb.models.installed", "samnb.models.missing_packages"),
}
"""Functions whose arguments cannot be wrong, beyond their type."""


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    public = [(name, getattr(samnb, name)) for name in samnb.__all__]
    for module in map(import_module, (f"samnb.{name}" for name in MODULES)):
        public += [(f"{module.__name__}.{name}", getattr(module, name)) for name in module.__all__]
    for name, value in public:
        if inspect.isfunction(value):
            yield name, value
        if isinstance(value, type) and not getattr(value, "_is_protocol", False):
            for attribute, method in inspect.getmembers(value, callable):
                if not attribute.startswith("_") and getattr(method, "__module__", "").startswith("samnb."):
                    yield f"{name}.{attribute}", method


FUNCTIONS = dict(functions())


def test_there_are_functions() -> None:
    assert len(FUNCTIONS) > 200


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_documented_in_full(name: str) -> None:
    function, written = FUNCTIONS[name], FunctionDoc(FUNCTIONS[name])
    signature = inspect.signature(function)
    parameters = [parameter for parameter in signature.parameters if parameter not in ("self", "cls")]
    listed = [each.strip().lstrip("*") for one in written["Parameters"] for each in one.name.split(",")]
    assert sorted(parameters) == sorted(listed)
    if signature.return_annotation not in ("None", None):
        assert written["Returns"] or written["Yields"]
    if parameters and parameters != ["show"]:
        assert bool(written["Raises"]) == (name not in WITHOUT_ERRORS)
    assert ">>>" in "\n".join(written["Examples"])
