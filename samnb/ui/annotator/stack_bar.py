"""`StackBar`: sliders through a stack, and over channels and limits. It knows no session."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import ipywidgets

from ...images.lazy import Channel, PixelMapping, ShownChannel, StackAxis
from ..common import style
from ..common.closing import close_tree

_GAMMAS = (0.2, 3.0)
_STEPS = 200


class StackActions(Protocol):
    """What the sliders and buttons do: the annotator."""

    def go_to_slice(self, axis: str, index: int) -> None: ...
    def copy_to_next_slice(self) -> None: ...
    def copy_through(self) -> None: ...
    def open_channels(self) -> None: ...
    def preview_view(self, mapping: PixelMapping) -> None: ...
    def use_view(self, mapping: PixelMapping) -> None: ...
    def reset_view(self) -> None: ...


class StackBar(ipywidgets.VBox):
    """A slider for each axis of the stack, and a panel with the channels; hidden for other pictures.

    Parameters
    ----------
    actions : StackActions
    """

    def __init__(self, actions: StackActions):
        self._actions = actions
        self._filling = False
        self.sliders: dict[str, ipywidgets.IntSlider] = {}
        """By the name of the axis."""
        self._axes: tuple[StackAxis, ...] = ()
        self._copy = style.tool(
            "Copy to next", lambda: actions.copy_to_next_slice(), "Copy the objects to the next slice, and show it"
        )
        self._through = style.tool(
            "Copy through", lambda: actions.copy_through(), "Copy the objects to all slices after this one"
        )
        self._channels = style.tool(
            "Channels and limits", lambda: actions.open_channels(), "Which values of the file are seen"
        )
        self._slices = style.box(classes=("samnb-row", "samnb-slices"))
        self._row = style.box(self._slices, self._copy, self._through, self._channels, classes=("samnb-row",))
        self.panel = ChannelPanel(actions)
        super().__init__([self._row, self.panel])
        self.add_class("samnb-stack")
        style.show(self, False)

    def show_stack(self, axes: Sequence[StackAxis], place: dict[str, int], *, channels: bool) -> None:
        """The axes of the stack and the place of the image shown; whether its channels can be chosen."""
        if tuple(axes) != self._axes:
            before, self._axes = self.sliders.values(), tuple(axes)
            self.sliders = {axis.name: self._slider(axis) for axis in axes}
            self._slices.children = tuple(self.sliders.values())
            for slider in before:
                close_tree(slider)
        self._filling = True
        try:
            for name, slider in self.sliders.items():
                slider.value = place.get(name, 0)
        finally:
            self._filling = False
        for button in (self._copy, self._through):
            style.show(button, bool(axes))
        style.show(self._channels, channels)
        if not channels:
            self.panel.close_panel()
        style.show(self, bool(axes) or channels)
        style.set_class(self, "samnb-on", bool(axes) or channels)

    def _slider(self, axis: StackAxis) -> ipywidgets.IntSlider:
        slider = ipywidgets.IntSlider(min=0, max=axis.size - 1, description=axis.name, continuous_update=False)
        slider.add_class("samnb-slice")
        slider.observe(partial(self._moved, axis.name), "value")
        return slider

    def _moved(self, axis: str, change: Any) -> None:
        if not self._filling:
            self._actions.go_to_slice(axis, int(change["new"]))


class ChannelPanel(ipywidgets.VBox):
    """For each channel whether it is shown, its colour and limits; a gamma for all; what it shows is seen at once."""

    def __init__(self, actions: StackActions):
        self._actions = actions
        self._filling = False
        self._rows: list[tuple[ipywidgets.Checkbox, ipywidgets.ColorPicker, ipywidgets.FloatRangeSlider]] = []
        self._over: list[bool] = []
        self.gamma = ipywidgets.FloatSlider(
            value=1.0,
            min=_GAMMAS[0],
            max=_GAMMAS[1],
            step=0.05,
            description="gamma",
            continuous_update=True,
            tooltip="How bright the middle is: below 1 brighter",
        )
        self.gamma.observe(lambda _: self._changed(), "value")
        self.use = style.tool(
            "Use this view", lambda: actions.use_view(self.mapping), "Encode the stack as it is shown", "samnb-primary"
        )
        self._reset = style.tool("Reset", lambda: actions.reset_view(), "Show the view that is encoded")
        self._list = ipywidgets.VBox()
        super().__init__([self._list, style.box(self.gamma, self.use, self._reset, classes=("samnb-row",))])
        self.is_open = False
        style.show(self, False)

    def open_panel(
        self, channels: Sequence[Channel], ranges: Sequence[tuple[float, float]], shown: PixelMapping
    ) -> None:
        """Show these channels, the range of the values of each, and the mapping that is used."""
        self._filling = True
        try:
            self._rows, self._over = [], []
            of_index = {one.index: one for one in shown.channels}
            for at, (channel, (low, high)) in enumerate(zip(channels, ranges, strict=True)):
                one = of_index.get(at, ShownChannel(at, channel.color or "#ffffff", low, high))
                limits = sorted((one.low, one.high))
                low, high = min(low, limits[0]), max(high, limits[1])
                high = high if high > low else low + 1
                visible = ipywidgets.Checkbox(
                    value=at in of_index, description=channel.name or f"channel {at}", indent=False
                )
                color = ipywidgets.ColorPicker(value=one.color, concise=True)
                slider = ipywidgets.FloatRangeSlider(
                    value=limits, min=low, max=high, step=(high - low) / _STEPS, readout_format=".4g"
                )
                for widget in (visible, color, slider):
                    widget.observe(lambda _: self._changed(), "value")
                self._rows.append((visible, color, slider))
                self._over.append(one.low > one.high)
            self.gamma.value = min(max(shown.gamma, _GAMMAS[0]), _GAMMAS[1])
            before = self._list.children
            self._list.children = tuple(style.box(*row, classes=("samnb-row", "samnb-channel")) for row in self._rows)
            for row in before:
                close_tree(row)
        finally:
            self._filling = False
        self.is_open = True
        style.show(self, True)

    def close_panel(self) -> None:
        """Hide it."""
        self.is_open = False
        style.show(self, False)

    @property
    def mapping(self) -> PixelMapping:
        """What the widgets say; with no channel shown, the first one."""
        shown = []
        for at, ((visible, color, slider), over) in enumerate(zip(self._rows, self._over, strict=True)):
            low, high = slider.value
            if visible.value or (at == 0 and not any(row[0].value for row in self._rows)):
                high = high if high > low else low + 1e-9
                ends = (high, low) if over else (low, high)
                shown.append(ShownChannel(at, str(color.value).lower(), float(ends[0]), float(ends[1])))
        return PixelMapping(tuple(shown), round(float(self.gamma.value), 6), "by hand")

    @property
    def rows(self) -> list[tuple[ipywidgets.Checkbox, ipywidgets.ColorPicker, ipywidgets.FloatRangeSlider]]:
        """The widgets of each channel: shown, colour, limits."""
        return list(self._rows)

    def _changed(self) -> None:
        if not self._filling and self.is_open:
            self._actions.preview_view(self.mapping)
