"""`ParameterSliders`: the tuner's sliders by the parameter's name; those that matter are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

import ipywidgets

from ...templates.parameters import PARAMETERS, Parameter
from ..common import style

if TYPE_CHECKING:
    from ...models import Model
    from ...templates import Template

_SHOWN_FIRST = sorted(PARAMETERS, key=lambda parameter: parameter.place)


class ParameterSliders(dict[str, Any]):
    """A slider for each parameter.

    Parameters
    ----------
    model : Model
        Of the session: not every model can follow all parameters.
    on_change : callable
        Called with (name, value) when a slider was moved; not for what `show` sets.
    """

    def __init__(self, model: Model, on_change: Callable[[str, float], object]):
        self._guides, self._on_change = "guidance" in signature(model.decode).parameters, on_change
        self._values: Mapping[str, float] | None = None
        super().__init__((parameter.name, self._slider(parameter, model.name)) for parameter in _SHOWN_FIRST)

    def show(self, values: Mapping[str, float], template: Template) -> None:
        """Set the sliders to the values, and show those that matter to the strategy and examples of this template."""
        self._values = None
        for parameter in _SHOWN_FIRST:
            name, slider = parameter.name, self[parameter.name]
            value = _like(slider, values[name])
            slider.min, slider.max = min(slider.min, value), max(slider.max, value)
            slider.description, slider.value = parameter.label, value
            style.show(slider, parameter.is_used_by(template.strategy) and _matters(name, template))
            # A template of another model may have guidance: then it can be set to 0.
            slider.disabled = name == "guidance" and not self._guides and not value
        self._values = values

    def _slider(self, parameter: Parameter, model_name: str) -> Any:
        least, most, step = parameter.slider
        kind = ipywidgets.IntSlider if parameter.integer else ipywidgets.FloatSlider
        options: dict[str, Any] = {} if parameter.integer else {"readout_format": ".2f"}
        text = f"{parameter.help} ({parameter.name})"
        if parameter.name == "guidance" and not self._guides:
            text += f": not with {model_name}, whose attention cannot be drawn anywhere; MobileSAM can"
        slider = kind(min=least, max=most, step=step, tooltip=text, **options)
        slider.observe(lambda change: self._moved(parameter.name, change), "value")
        return slider

    def _moved(self, name: str, change: Any) -> None:
        # The page rounds to the slider's step when it draws it: that is no new value.
        if self._values is not None and abs(change["new"] - self._values[name]) > 0.501 * change["owner"].step:
            self._on_change(name, change["new"])


def _matters(name: str, template: Template) -> bool:
    if name == "max_iou_between":
        return len(template.categories) > 1
    if name == "background_weight":
        return any(examples.background for examples in template.categories)
    return name != "max_objects" or template.strategy != "match"


def _like(slider: Any, value: float) -> float | int:
    return int(value) if isinstance(slider, ipywidgets.IntSlider) else float(value)
