"""`ScriptWidget`: the base of all widgets with JavaScript of our own."""

from __future__ import annotations

from importlib.resources import files
from typing import Any
from uuid import uuid4

import anywidget
import traitlets


def script(package: str, *names: str) -> str:
    """One module of the page from files beside `package`'s modules: a module of anywidget cannot import others."""
    return "\n".join(files(package).joinpath(f"{name}.js").read_text(encoding="utf-8") for name in names)


_HEARING = script(__package__, "hearing")


class ScriptWidget(anywidget.AnyWidget):
    """An anywidget that hears the kernel even when a busy browser loaded its script late.

    A subclass sets `_esm`, with ``export default { initialize, render };`` as its end: `initialize` is in `hearing.js`.
    """

    _esm: str
    own_id = traitlets.Unicode().tag(sync=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Not the classes that traitlets makes for instances, where it is a trait.
        if isinstance(cls.__dict__.get("_esm"), str):
            cls._esm = f"{_HEARING}\n{cls._esm}"

    def __init__(self, **kwargs: Any) -> None:
        # Its script finds the model by it: what anywidget gives a script hides the model.
        own_id = uuid4().hex
        super().__init__(model_id=own_id, own_id=own_id, **kwargs)
