"""`Like`: all objects like an example, by an instant template without a name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from ..catalog.values import to_json
from ..models.candidates import proposer
from ..prompts import Prompt
from ..records import NewProposal
from ..templates.strategies import find_objects
from ..templates.template import Template
from .query import Search, parameters_of, proposal_of

NAME = "like"
"""The template's name; it is never saved under it."""


@dataclass(frozen=True, eq=False)
class Like:
    """All objects like some examples; made by `Session.like`.

    Parameters
    ----------
    template : Template
        With one category: its examples, and what is not meant as background.
    """

    template: Template
    kind: ClassVar[str] = "like"

    def as_dict(self) -> dict[str, Any]:
        """The examples by picture and place, all parameters, and the hash of the features.

        The features themselves are left out: they would be written once for each picture that is searched.
        """
        [category] = self.template.categories
        return {
            "examples": [
                {"pixel_hash": example.pixel_hash, "prompt": example.prompt.as_dict(), "area": example.area}
                for example in category.examples
            ],
            "not": len(category.background),
            "strategy": self.template.strategy,
            "parameters": parameters_of(self.template),
            "features": self._digest,
        }

    def find(self, search: Search) -> list[NewProposal]:
        """The objects of one image, the best score first."""
        features, model = search.features(self.template), search.model
        matches = find_objects(self.template, features, model.decode, propose=proposer(model.decode, model))
        found = (proposal_of(match.mask, match.score, prompt=match.prompt or Prompt()) for match in matches)
        return sorted((one for one in found if one is not None), key=lambda one: -one.score)

    def __repr__(self) -> str:
        [category] = self.template.categories
        return f"<Like {len(category.examples)} examples, {len(category.background)} that are not meant>"

    @cached_property
    def _digest(self) -> str:
        values = {**self.template.as_dict(), "parameters": parameters_of(self.template)}
        return hashlib.sha256(to_json(values).encode()).hexdigest()
