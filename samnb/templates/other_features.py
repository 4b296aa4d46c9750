"""What a template compares: the features of the model that draws the masks, or of another model of the session."""

from __future__ import annotations

from dataclasses import dataclass

from ..encoding.encoder import Encoder
from ..encoding.other_models import OtherModels
from ..encoding.regions import Region
from ..errors import SamnbError, TemplateMismatch
from ..prompts import Embedding
from ..records import ImageRecord
from .image_features import ImageFeatures
from .template import Template

DEFAULT_FEATURES: dict[str, str] = {}
"""Name of the model whose features a new template compares, by the family of the model that draws; "" or none: its own.

SAM's own features say how a place looks, not what it is. They can be set to those of "tiny" here, once its features
are measured to be the better ones with published weights of SAM.
"""


@dataclass(frozen=True, eq=False)
class ReadFeatures:
    """The features of an image, and where they came from.

    Parameters
    ----------
    features : ImageFeatures
    cached : bool
        Neither model had to encode the image.
    encodes : int
        How often an image encoder ran: 0, 1, or 2 with features of another model.
    """

    features: ImageFeatures
    encodes: int = 0

    @property
    def cached(self) -> bool:
        """No image encoder ran."""
        return not self.encodes


class FeatureReader:
    """Reads what templates compare out of the store; encodes what is missing.

    Parameters
    ----------
    encoder : Encoder
        Of the model that draws the masks.
    others : OtherModels
    """

    def __init__(self, encoder: Encoder, others: OtherModels):
        self._encoder, self._others = encoder, others

    def chosen(self, features: str | None) -> tuple[str, str]:
        """Name and fingerprint for a new template; both "" for the features of the model that draws.

        Parameters
        ----------
        features : str or None
            The name of a model; None: the default for the model that draws.
        """
        family = self._encoder.model.fingerprint.partition("-")[0]
        name = DEFAULT_FEATURES.get(family, "") if features is None else features
        if not name:
            return "", ""
        fingerprint = self._others.encoder(name).model.fingerprint
        return ("", "") if fingerprint == self._encoder.model.fingerprint else (name, fingerprint)

    def check(self, template: Template) -> None:
        """Raise `TemplateMismatch` unless this session has the models a template was made with."""
        own = self._encoder.model.fingerprint
        if template.model != own:
            raise TemplateMismatch(template.name, template.model, own)
        if template.features:
            self._other(template.name, template.features, template.features_model)

    def has_models_of(self, template: Template) -> bool:
        """Whether this session has the models a template was made with."""
        try:
            self.check(template)
        except SamnbError:  # of another model, or one whose weights or packages are not here
            return False
        return True

    def read(self, image: ImageRecord, template: Template, region: Region | None = None) -> ReadFeatures:
        """What a template compares on an image, or on a region of it."""
        other = (template.features, template.features_model)
        return self.of(image, *other, asked_by=template.name, region=region)

    def of(
        self,
        image: ImageRecord,
        name: str = "",
        fingerprint: str = "",
        *,
        asked_by: str = "",
        region: Region | None = None,
    ) -> ReadFeatures:
        """The features of an image by the model of that name and fingerprint; "": by the one that draws."""
        embedding, hit = _embedding(self._encoder, image, region)
        if not name:
            return ReadFeatures(ImageFeatures(embedding), int(not hit))
        compared, there = _embedding(self._other(asked_by, name, fingerprint), image, region)
        return ReadFeatures(ImageFeatures(embedding, compared), int(not hit) + int(not there))

    def _other(self, asked_by: str, name: str, fingerprint: str) -> Encoder:
        encoder = self._others.encoder(name)
        if encoder.model.fingerprint != fingerprint:
            raise TemplateMismatch(asked_by, fingerprint, encoder.model.fingerprint, features=name)
        return encoder


def _embedding(encoder: Encoder, image: ImageRecord, region: Region | None) -> tuple[Embedding, bool]:
    return encoder.embedding(image) if region is None else encoder.region_embedding(image, region, urgent=False)
