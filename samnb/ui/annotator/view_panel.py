"""`ViewPanel`: the controls for how picture and masks look, in a row under the tools. It knows no session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import ipywidgets

from ..common import style
from .picture_look import CHANNELS


class ViewActions(Protocol):
    """The settings and calls of the panel."""

    opacity: float
    contour: bool
    color_by: str
    overlap: bool
    crosshair: bool
    brightness: float
    contrast: float
    channel: str

    def reset_picture(self) -> None: ...


class ViewPanel(ipywidgets.Box):
    """Opacity, outlines, colours, overlaps and crosshair; brightness, contrast and channel of the picture shown.

    Parameters
    ----------
    actions : ViewActions
    """

    def __init__(self, actions: ViewActions):
        self._actions = actions
        self._filling = False
        self._controls: dict[str, Any] = {}
        opacity = self._slider("opacity", 40, (0, 100, 5), "Opacity of masks in per cent (Shift [ and ])", 100)
        contour = self._box("contour", "outlines only", "Draw the outlines of masks and leave them unfilled")
        by = ipywidgets.Dropdown(options=[("by category", "category"), ("by object", "object")], description="colours")
        by.tooltip = "What the colour of an annotation tells (T)"
        overlap = self._box("overlap", "overlaps", "Mark pixels that belong to two or more annotations")
        crosshair = self._box("crosshair", "crosshair", "Lines across the picture at the pointer (W)")
        brightness = self._slider("brightness", 0, (-100, 100, 5), "Brightness of the picture shown", 100)
        contrast = self._slider("contrast", 100, (20, 500, 10), "Contrast of the picture shown, in per cent", 100)
        channel = ipywidgets.Dropdown(options=CHANNELS, description="channel")
        channel.tooltip = "The channel of the picture that is shown; the model always gets all"
        for name, widget in (("color_by", by), ("channel", channel)):
            self._keep(name, widget, lambda value: value)
        reset = style.tool("As it is", lambda: actions.reset_picture(), "Show the picture as it is")
        super().__init__([opacity, contour, by, overlap, crosshair, brightness, contrast, channel, reset])
        for name in ("samnb-extra", "samnb-view"):
            self.add_class(name)
        style.show(self, False)

    def show(self, **values: Any) -> None:
        """Show these values, by the names of `ViewActions`."""
        self._filling = True
        try:
            for name, value in values.items():
                widget = self._controls[name]
                widget.value = round(100 * value) if isinstance(widget, ipywidgets.IntSlider) else value
        finally:
            self._filling = False

    @property
    def is_open(self) -> bool:
        """True while the panel is shown."""
        return self.layout.display != "none"

    def _slider(self, name: str, value: int, limits: tuple[int, int, int], tooltip: str, unit: int) -> Any:
        low, high, step = limits
        widget = ipywidgets.IntSlider(value, low, high, step, description=name)
        widget.tooltip = tooltip
        return self._keep(name, widget, lambda shown: shown / unit)

    def _box(self, name: str, text: str, tooltip: str) -> Any:
        widget = ipywidgets.Checkbox(False, description=text, indent=False)
        widget.tooltip = tooltip
        widget.layout.width = "auto"
        return self._keep(name, widget, lambda value: value)

    def _keep(self, name: str, widget: Any, meant: Callable[[Any], Any]) -> Any:
        def changed(change: dict[str, Any]) -> None:
            if not self._filling:
                setattr(self._actions, name, meant(change["new"]))

        widget.observe(changed, "value")
        self._controls[name] = widget
        return widget
