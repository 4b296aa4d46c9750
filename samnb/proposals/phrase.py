"""`Phrase`: all objects that a phrase or exemplars name, by an instant template without a name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from ..catalog.values import to_json
from ..models import finder
from ..records import NewProposal
from ..templates.image_features import ImageFeatures
from ..templates.strategies import find_objects
from ..templates.template import Template
from .query import Search, parameters_of, proposal_of

NAME = "phrase"
"""The template's name; it is never saved under it."""


@dataclass(frozen=True, eq=False)
class Phrase:
    """All objects that a phrase, exemplars or both name; made by `Session.phrase`.

    Parameters
    ----------
    template : Template
        Of strategy "phrase", with one category.
    """

    template: Template
    kind: ClassVar[str] = "phrase"

    def as_dict(self) -> dict[str, Any]:
        """The phrase, the exemplars by picture and place, all parameters, and the hash of the exemplars' tokens.

        The tokens themselves are left out: they would be written once for each picture that is searched.
        """
        [category] = self.template.categories
        return {
            "phrase": category.phrase,
            "exemplars": [
                {name: value for name, value in one.as_dict().items() if name != "tokens"} for one in category.exemplars
            ],
            "parameters": parameters_of(self.template),
            "tokens": self._digest,
        }

    def find(self, search: Search) -> list[NewProposal]:
        """The objects of one image, the best score first."""
        model, features = search.model, ImageFeatures(search.embedding())
        matches = find_objects(self.template, features, model.decode, find=finder(model))
        found = (proposal_of(match.mask, match.score, prompt=match.prompt) for match in matches)
        return [one for one in found if one is not None]

    def __repr__(self) -> str:
        [category] = self.template.categories
        exemplars = sum(len(one.boxes) for one in category.exemplars)
        return f"<Phrase {category.phrase!r}, {exemplars} exemplars>"

    @cached_property
    def _digest(self) -> str:
        tokens = [one.as_dict()["tokens"] for one in self.template.categories[0].exemplars]
        return hashlib.sha256(to_json(tokens).encode()).hexdigest() if tokens else ""
