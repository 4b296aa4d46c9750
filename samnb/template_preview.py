"""A template tried on a few images again and again while its parameters move: nothing is decoded twice or written.

Pictures and masks are those of a preview, some hundred pixels across: the model's own masks are no finer, and what is
remembered of an image then fits a few dozen MB.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .images import thumbnail
from .matching import Match, find_objects
from .models import Model
from .prompts import Embedding, Prediction, Prompt
from .proposals import Proposal, Propose, proposer
from .records import ImageRecord
from .template_report import ImageFigures
from .template_trial import Known, figures_of, remembering
from .templates import Template

__all__ = ["SIDE", "Preview", "Sample", "samples_of"]

#: The longest side of a preview, in pixels.
SIDE = 320

#: Bytes of masks that are remembered of one image.
ROOM = 48 * 2**20


@dataclass(frozen=True, eq=False)
class Preview:
    """What a template finds on one image.

    Parameters
    ----------
    image : ImageRecord
    pixels : (h, w, 3) uint8
        The picture, at most `SIDE` pixels across.
    matches : tuple of Match
        Masks of the same size.
    figures : ImageFigures or None
        Against what was annotated by hand; None where nothing was.
    is_example : bool
        The template's own examples are on it, which flatters it.
    """

    image: ImageRecord
    pixels: NDArray[np.uint8]
    matches: tuple[Match, ...] = field(repr=False)
    figures: ImageFigures | None
    is_example: bool

    @property
    def scores(self) -> tuple[float, ...]:
        """Of the masks."""
        return tuple(match.score for match in self.matches)


class Sample:
    """One image that templates are tried on; what the model answered is remembered.

    Parameters
    ----------
    image : ImageRecord
    embedding : callable
        Gives its embedding; called once.
    pixels : callable
        Gives its picture, (H, W, 3) uint8; called once.
    wanted : mapping of str to list of (H, W) bool
        What was annotated by hand, by category.
    model : Model
    """

    def __init__(
        self,
        image: ImageRecord,
        *,
        embedding: Callable[[], Embedding],
        pixels: Callable[[], NDArray[np.uint8]],
        wanted: Mapping[str, Sequence[NDArray[np.bool_]]],
        model: Model,
    ):
        self.image, self._model = image, model
        self._read_embedding, self._read_pixels, self._wanted = embedding, pixels, wanted
        self._lock = threading.Lock()
        self._ready: tuple[NDArray[np.uint8], Embedding, Known] | None = None
        self._propose = remembering(_at_once(proposer(model.decode, model)), room=ROOM)
        self._decoded: dict[tuple[Prompt, bytes], Prediction] = {}

    def look(self, template: Template, *, min_iou: float = 0.5) -> Preview:
        """What the template finds here.

        Raises
        ------
        ImageError, ModelError
            The picture cannot be read, or encoded.
        """
        with self._lock:
            pixels, embedding, known = self._made_ready()
            matches = find_objects(template, embedding, self._decode, propose=self._propose)
            measured = any(known.wanted.get(examples.category) for examples in template.categories)
            figures = figures_of(template, known, matches, min_iou) if measured else None
        hashes = {example.pixel_hash for examples in template.categories for example in examples.examples}
        return Preview(self.image, pixels, tuple(matches), figures, self.image.pixel_hash in hashes)

    def _made_ready(self) -> tuple[NDArray[np.uint8], Embedding, Known]:
        if self._ready is None:
            pixels = thumbnail(self._read_pixels(), SIDE)
            size_hw = (pixels.shape[0], pixels.shape[1])
            # Masks are scaled up to what the embedding says its image is as large as.
            embedding = replace(self._read_embedding(), original_size=size_hw)
            wanted = {name: [_shrunk(mask, size_hw) for mask in masks] for name, masks in self._wanted.items()}
            self._ready = (pixels, embedding, Known(self.image, lambda: embedding, wanted))
        return self._ready

    def _decode(self, embedding: Embedding, prompt: Prompt, **options: Any) -> Prediction:
        """`Model.decode`, remembered: strategy "fixed" asks the same few prompts every time."""
        hint = options.get("mask_input")
        asked = (prompt, b"" if hint is None else hint.tobytes())
        if asked not in self._decoded:
            if len(self._decoded) >= 64:
                self._decoded.clear()
            self._decoded[asked] = self._model.decode(embedding, prompt, **options)
        return self._decoded[asked]


def samples_of(images: Sequence[ImageRecord], annotated: Mapping[str, Any], count: int) -> list[ImageRecord]:
    """So many of the images: a third of those annotated by hand, the others evenly spaced, in their order.

    Parameters
    ----------
    images : sequence of ImageRecord
    annotated : mapping
        By image id.
    count : int
    """
    if len(images) <= count:
        return list(images)
    first = [image for image in images if image.id in annotated][: max(1, count // 3)]
    taken = {image.id for image in first}
    others = [image for image in images if image.id not in taken]
    places = np.linspace(0, len(others) - 1, count - len(first)).round().astype(int)
    taken |= {others[place].id for place in places}
    return [image for image in images if image.id in taken]


def _at_once(propose: Propose) -> Propose:
    """Proposals with their masks scaled up: at this size they are smaller than what they are made from."""

    def asked(embedding: Embedding, prompts: Sequence[Prompt]) -> list[Proposal]:
        return [_light(proposal) for proposal in propose(embedding, prompts)]

    return asked


def _light(proposal: Proposal) -> Proposal:
    masks = [proposal.full(index) for index in range(len(proposal.scores))]
    return Proposal(proposal.prompt, proposal.scores, proposal.small.copy(), masks.__getitem__)


def _shrunk(mask: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    small = cv2.resize(mask.astype(np.uint8) * 255, size_hw[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small > 127)
