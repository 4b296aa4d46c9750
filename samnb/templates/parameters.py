"""The parameters of a template: defaults, ranges, and the sliders that the tuner shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Literal

from ..errors import TemplateError, UnknownOption


@dataclass(frozen=True)
class Parameter:
    """One parameter of a template.

    Parameters
    ----------
    name : str
    default, min, max : float
    place : int
        Among the tuner's sliders, from the top.
    used_by : {"all", "fixed", "search", "examples", "match"}
        The strategies that read it; "search": all but "fixed", "examples": all but "phrase", "match": all but both.
    slider : (min, max, step)
        The range of the slider, which may be narrower than `min` to `max`.
    help : str
        What it does.
    label : str
        A plain name for the slider, with its unit.
    """

    name: str
    default: float
    min: float
    max: float
    place: int
    used_by: Literal["all", "fixed", "search", "examples", "match"]
    slider: tuple[float, float, float]
    help: str
    label: str

    @property
    def integer(self) -> bool:
        """True for whole numbers."""
        return isinstance(self.slider[2], int)

    def is_used_by(self, strategy: str) -> bool:
        """Whether a strategy reads it.

        Examples
        --------
        >>> [p.name for p in PARAMETERS if p.is_used_by("phrase")]
        ['min_score', 'review_score', 'max_objects', 'max_overlap', 'max_iou_between']
        """
        return strategy == "fixed" if self.used_by == "fixed" else strategy not in _UNUSED_BY[self.used_by]


_UNUSED_BY: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "search": ("fixed",),
    "examples": ("phrase",),
    "match": ("fixed", "phrase"),
}


# In the order of their names in saved templates, which must not change: it is part of the content.
# fmt: off
PARAMETERS = (
    # mean cosine of an object-sized disc with the examples
    Parameter("min_similarity", 0.1, -1, 1, 2, "match", (-0.2, 0.9, 0.01),
              "below it no place is tried", "similar from (cosine)"),
    # cosine of the mask with the prototype x predicted IoU
    Parameter("min_score", 0.3, 0, 1, 0, "all", (0.0, 1.0, 0.01),
              "accept from: below it nothing is kept", "accept from (score)"),
    Parameter("review_score", 0.5, 0, 1, 1, "all", (0.0, 1.0, 0.01),
              "sure from: below it an object waits for review", "sure from (score)"),
    # per category and image, for "match_all" and "phrase"
    Parameter("max_objects", 50, 1, 10_000, 9, "search", (1, 200, 1), "the maximum in an image", "most (an image)"),
    # of two masks above one of these two, the one with the lower score is dropped
    Parameter("max_overlap", 0.5, 0, 1, 4, "all", (0.0, 1.0, 0.01),
              "share of the smaller mask that may lie in another", "overlap up to (share)"),
    Parameter("max_iou_between", 0.8, 0, 1, 5, "all", (0.0, 1.0, 0.01),
              "IoU that masks of two categories may have", "shared up to (IoU)"),
    # only while that gives a better mask
    Parameter("refine", 2, 0, 10, 8, "match", (0, 6, 1),
              "how often an object is clicked again at its middle", "clicks again (times)"),
    # area of a found mask over the examples' median area
    Parameter("max_area_ratio", 3.0, 1, 1e9, 3, "match", (1.0, 20.0, 0.1),
              "largest area over the examples', either way round", "size up to (times)"),
    # as a share of the image's longest side; 0: not at all
    Parameter("max_shift", 0.0, 0, 1, 7, "fixed", (0.0, 0.5, 0.01),
              "how far an object may have moved (fixed)", "moved up to (share)"),
    # factor of the similarity with background examples; a high one takes more true objects than false ones
    Parameter("background_weight", 0.25, 0, 1, 6, "examples", (0.0, 1.0, 0.05),
              "how much background examples subtract", "background (weight)"),
    # the largest groups of cells of an example, 2 to 5; 0: its mean alone
    Parameter("parts", 0, 0, 5, 10, "match", (0, 5, 1),
              "number of parts of an example that count as examples", "parts (number)"),
    # 1: the model refines a found mask; 2: then also with its bounding box
    Parameter("cascade", 0, 0, 2, 11, "match", (0, 2, 1),
              "how often the model refines a found mask", "cascade (times)"),
    # exponent of the map that the model's attention is multiplied with
    Parameter("guidance", 0.0, 0, 1, 12, "match", (0.0, 1.0, 0.05),
              "how strongly attention follows similar places", "attention (strength)"),
    # of the mask's cells, those nearer to a part of an example than to what surrounds the examples; 0: not at all
    Parameter("reverse_check", 0.0, 0, 1, 13, "match", (0.0, 1.0, 0.05),
              "share of a mask that has to match back into an example", "matches back (share)"),
)
# fmt: on

DEFAULT_PARAMETERS: Mapping[str, float] = {parameter.name: parameter.default for parameter in PARAMETERS}
"""Every parameter of a template, with its default."""

_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


def checked_parameters(values: Mapping[str, float]) -> dict[str, float]:
    """The values as floats.

    Raises
    ------
    UnknownOption
        An unknown parameter.
    TemplateError
        A value out of its range.

    Examples
    --------
    >>> checked_parameters({"refine": 3})
    {'refine': 3.0}
    """
    if unknown := values.keys() - _BY_NAME.keys():
        raise UnknownOption("template", unknown, DEFAULT_PARAMETERS)
    for name, value in values.items():
        known = _BY_NAME[name]
        # Written so that NaN is refused too.
        if not (isinstance(value, Real) and known.min <= value <= known.max):
            raise TemplateError(f"{name}: expected a number from {known.min:g} to {known.max:g}; got {value!r}.")
        if known.integer and value != int(value):
            raise TemplateError(f"{name}: expected a whole number from {known.min:g} to {known.max:g}; got {value!r}.")
    return {name: float(value) for name, value in values.items()}
