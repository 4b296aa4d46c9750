"""`Template`: categories with examples, tuned on a few images, applied to many.

A template is a frozen value that can be written as JSON. It holds what an example looks like to the model
(a prototype) and where it was (relative points), never pixels or masks, so it is small and can be shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import TemplateError, UnknownName, UnknownOption
from .prompts import Prompt

__all__ = ["DEFAULT_PARAMETERS", "STRATEGY_NAMES", "CategoryExamples", "Example", "Template", "make_template"]

#: Every parameter a template knows, with its default.
DEFAULT_PARAMETERS: Mapping[str, float] = {
    "min_similarity": 0.4,  # cosine of a cell with the prototype, -1 to 1; below it no point is tried
    "min_score": 0.25,  # mean similarity in the mask x predicted IoU, 0 to 1; below it nothing is kept
    "max_objects": 50,  # per category and image, for match_all
    "max_overlap": 0.5,  # share of the smaller mask inside another, 0 to 1; above it the lower score goes
    "max_area_ratio": 3.0,  # area of a found mask over the examples' median area (either way round), for match*
}

_LIMITS: Mapping[str, tuple[float, float]] = {
    "min_similarity": (-1, 1),
    "min_score": (0, 1),
    "max_objects": (1, 10_000),
    "max_overlap": (0, 1),
    "max_area_ratio": (1, 1e9),
}

STRATEGY_NAMES = ("fixed", "match", "match_all")


@dataclass(frozen=True, eq=False)
class Example:
    """One annotated object of a template.

    Parameters
    ----------
    pixel_hash : str
        Of the image it was annotated on.
    prompt : Prompt
        Relative to the image: 0 to 1 from left to right and from top to bottom.
    prototype : (C,) float32
        Mean embedding inside the mask, of length 1; empty for strategy "fixed".
    area : float
        Of the mask, as a fraction of the image.
    diameter : float
        Square root of the mask's area, in pixels of the model's input frame.
    """

    pixel_hash: str
    prompt: Prompt
    prototype: NDArray[np.float32]
    area: float
    diameter: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "pixel_hash": self.pixel_hash,
            "prompt": self.prompt.as_dict(),
            "prototype": [round(float(v), 6) for v in self.prototype],
            "area": self.area,
            "diameter": self.diameter,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Example:
        """Read what `as_dict` wrote."""
        return cls(
            values["pixel_hash"],
            Prompt.from_dict(values["prompt"]),
            np.asarray(values["prototype"], np.float32),
            float(values["area"]),
            float(values["diameter"]),
        )


@dataclass(frozen=True, eq=False)
class CategoryExamples:
    """The examples of one category."""

    category: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, eq=False)
class Template:
    """Categories with examples, a strategy and its parameters; make one with `Session.template`.

    Parameters
    ----------
    name : str
    version : int
        1 and up; the same name with other content gets the next version.
    strategy : {"match_all", "match", "fixed"}
        Every instance found by similarity, the best one, or the same relative prompt on every image.
    categories : tuple of CategoryExamples
    parameters : mapping
        See `DEFAULT_PARAMETERS`.
    model : str
        Fingerprint of the model the prototypes were made with.
    """

    name: str
    strategy: str
    categories: tuple[CategoryExamples, ...]
    model: str
    parameters: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_PARAMETERS))
    version: int = 1

    @property
    def source(self) -> str:
        """What annotations made by this template carry as their source."""
        return f"template:{self.name}"

    def with_parameters(self, **parameters: float) -> Template:
        """The same template with other parameters.

        Raises
        ------
        UnknownOption
            For a parameter that is not in `DEFAULT_PARAMETERS`.
        """
        return replace(self, parameters={**self.parameters, **_checked(parameters)})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the catalog; the version is kept beside it, not in it."""
        return {
            "name": self.name,
            "strategy": self.strategy,
            "model": self.model,
            "parameters": dict(self.parameters),
            "categories": [
                {"category": c.category, "examples": [e.as_dict() for e in c.examples]} for c in self.categories
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, version: int = 1) -> Template:
        """Read what `as_dict` wrote."""
        categories = tuple(
            CategoryExamples(c["category"], tuple(Example.from_dict(e) for e in c["examples"]))
            for c in values["categories"]
        )
        return cls(values["name"], values["strategy"], categories, values["model"], values["parameters"], version)

    def __repr__(self) -> str:
        examples = ", ".join(f"{len(c.examples)} {c.category}" for c in self.categories)
        return f"<Template {self.name} v{self.version}: {self.strategy}, examples: {examples}>"


def make_template(
    name: str,
    strategy: str,
    categories: Sequence[CategoryExamples],
    *,
    model: str,
    parameters: Mapping[str, float] | None = None,
) -> Template:
    """Check and freeze.

    Raises
    ------
    UnknownName
        For a strategy that is not one of `STRATEGY_NAMES`.
    UnknownOption
        For an unknown parameter.
    TemplateError
        For a parameter out of its range, or a name that is empty or holds an "@".
    """
    # "coins@2" would read as version 2 of the template "coins".
    if not name.strip() or "@" in name:
        raise TemplateError(f"template name: expected some text without '@'; got {name!r}.")
    if strategy not in STRATEGY_NAMES:
        raise UnknownName("strategy", strategy, STRATEGY_NAMES)
    merged = {**DEFAULT_PARAMETERS, **_checked(parameters or {})}
    return Template(name, strategy, tuple(categories), model, merged)


def _checked(parameters: Mapping[str, float]) -> dict[str, float]:
    unknown = set(parameters) - set(DEFAULT_PARAMETERS)
    if unknown:
        raise UnknownOption("template", unknown, DEFAULT_PARAMETERS)
    for name, value in parameters.items():
        least, most = _LIMITS[name]
        # Written so that NaN is refused too.
        if not (isinstance(value, (int, float)) and least <= value <= most):
            raise TemplateError(f"{name}: expected a number from {least:g} to {most:g}; got {value!r}.")
    return {name: float(value) for name, value in parameters.items()}
