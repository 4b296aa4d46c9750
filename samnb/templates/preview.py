"""Previews of a template on a few images while its parameters change: nothing is decoded twice or saved.

Pictures and masks are some hundred pixels across: the model's own masks are no finer, and the cache of
an image then fits in a few dozen MB.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..images import thumbnail
from ..masks import mask_bbox
from ..models import Exemplar, FoundObjects, Model, finder
from ..models.candidates import Candidates, proposer
from ..prompts import Embedding, LazyMasks, Prediction, Prompt
from ..records import ImageRecord
from .evaluation import LabelledImage, compare_with_labels
from .examples import Example, ImageExemplars
from .features import make_example, prototype
from .image_features import ImageFeatures, as_features
from .match import Match
from .phrase_strategy import KnownSearches, image_exemplars
from .report import ImageMetrics
from .strategies import find_objects
from .template import Template

#: The longest side of a preview, in pixels.
SIDE = 320

#: Bytes of cached masks per image.
ROOM = 48 * 2**20

#: Bytes of cached predictions of single prompts per image: three for each of 50 objects, the default maximum,
#: from a model whose logits are 256 across.
DECODED_ROOM = 64 * 2**20


#: Score from which objects of a phrase are kept for other thresholds: nearly all of a search are below it.
LEAST_FOUND = 0.01

#: The number of cached searches per image.
_SEARCHES = 16


@dataclass(frozen=True, eq=False)
class Preview:
    """The objects that a template finds on one image.

    Parameters
    ----------
    image : ImageRecord
    pixels : (h, w, 3) uint8
        The picture, at most `SIDE` pixels across.
    matches : tuple of Match
        Masks of the same size.
    figures : ImageMetrics or None
        Compared with annotations by hand; None if there are none.
    is_example : bool
        The template's own examples are on it, so its result is too good.
    candidates : tuple of Match
        The matches, and tried masks with a score below "min_score".
    settled : bool
        False for a result from an earlier search: with a lower "min_score" a new search may find more.
    """

    image: ImageRecord
    pixels: NDArray[np.uint8]
    matches: tuple[Match, ...] = field(repr=False)
    figures: ImageMetrics | None
    is_example: bool
    candidates: tuple[Match, ...] = field(default=(), repr=False)
    settled: bool = True

    @property
    def scores(self) -> tuple[float, ...]:
        """The size of the masks."""
        return tuple(match.score for match in self.matches)


@dataclass(frozen=True, eq=False)
class _Search:
    """A template, its minimum score, the objects it found, and all candidates."""

    template: Template
    min_score: float
    matches: tuple[Match, ...]
    tried: tuple[Match, ...]

    def is_of(self, template: Template) -> bool:
        """Whether only thresholds differ."""
        mine, other = dict(self.template.parameters), dict(template.parameters)
        for name in ("min_score", "review_score"):
            mine.pop(name), other.pop(name)
        same = mine == other and self.template.strategy == template.strategy
        return same and self.template.categories is template.categories


class Sample:
    """One image for previews; the model's predictions are cached.

    Parameters
    ----------
    image : ImageRecord
    embedding : callable
        Returns its embedding, or what the template compares on it; called once.
    pixels : callable
        Returns its picture, (H, W, 3) uint8; called once.
    wanted : mapping of str to list of (H, W) bool
        Masks annotated by hand, by category.
    model : Model
    """

    def __init__(
        self,
        image: ImageRecord,
        *,
        embedding: Callable[[], Embedding | ImageFeatures],
        pixels: Callable[[], NDArray[np.uint8]],
        wanted: Mapping[str, Sequence[NDArray[np.bool_]]],
        model: Model,
    ):
        self.image, self._model = image, model
        self._read_embedding, self._read_pixels, self._wanted = embedding, pixels, wanted
        self._lock = threading.Lock()
        self._ready: tuple[NDArray[np.uint8], ImageFeatures, LabelledImage] | None = None
        self._ask_model, self._room, self._asked = proposer(model.decode, model), ROOM, 0
        self._find = KnownSearches(self._find_light, least=LEAST_FOUND)
        self._decoded: dict[tuple[Any, ...], _Answer] = {}
        self._decoded_room = DECODED_ROOM
        self._answers: dict[Prompt, Candidates] = {}
        self._searches: list[_Search] = []
        self._measured: tuple[tuple[int, ...], ImageMetrics] | None = None

    def search(self, template: Template, *, min_iou: float = 0.5) -> Preview:
        """The preview of the template on this image.

        Raises
        ------
        ImageError, ModelError
            The picture cannot be read, or encoded.
        """
        with self._lock:
            _, features, _ = self._made_ready()
            least = template.parameters["min_score"]
            last = self._search_of(template)
            if last is None or last.min_score != least:
                asked = self._asked
                ways: Any = {"propose": self._propose, "find": self._find}
                matches = tuple(find_objects(template, features, self._decode, **ways))
                if last is not None and asked == self._asked:
                    tried = last.tried
                else:
                    # The same search once more, from cached predictions only: it also returns low scores.
                    all_of_it = template.with_parameters(min_score=0.0, cascade=0)
                    again = self._decoded_again if template.parameters["guidance"] else self._decode
                    tried = tuple(find_objects(all_of_it, features, again, propose=self._again, find=self._find))
                last = _Search(template, least, matches, tried)
            # Sliders go back and forth: the last few searches are kept, one for each set of other parameters.
            self._searches = [last, *(each for each in self._searches if not each.is_of(template))][:_SEARCHES]
            return self._preview(template, last, last.matches, min_iou, settled=True)

    def search_cached(self, template: Template, *, min_iou: float = 0.5) -> Preview | None:
        """The same from cached searches, if only thresholds have changed since; fast, without the model.

        None if a search is needed.
        """
        with self._lock:
            last = self._search_of(template)
            if last is None:
                return None
            least = template.parameters["min_score"]
            if least == last.min_score:
                return self._preview(template, last, last.matches, min_iou, settled=True)
            matches = tuple(match for match in last.tried if match.score >= least)
            return self._preview(template, last, matches, min_iou, settled=False)

    def prototype_of(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(C,) of length 1: the mean feature inside a mask of a preview."""
        with self._lock:
            return prototype(self._made_ready()[1], mask)

    def example_of(self, match: Match, *, place: bool) -> Example:
        """An example of a template from a match of a preview."""
        with self._lock:
            features = self._made_ready()[1]
            return make_example(self.image.pixel_hash, match.prompt, match.mask, features, place=place)

    def exemplars_of(self, marked: Sequence[tuple[Match, bool]]) -> ImageExemplars:
        """Exemplars of a template from matches of a preview, each with whether it is a positive one."""
        with self._lock:
            embedding = self._made_ready()[1].embedding
            found = ((mask_bbox(match.mask), good) for match, good in marked)
            boxes = [Exemplar((x, y, x + wide, y + high), good) for (x, y, wide, high), good in found]
            return image_exemplars(self.image.pixel_hash, boxes, embedding, self._model)

    def _search_of(self, template: Template) -> _Search | None:
        return next((each for each in self._searches if each.is_of(template)), None)

    def _preview(
        self, template: Template, search: _Search, matches: tuple[Match, ...], min_iou: float, *, settled: bool
    ) -> Preview:
        pixels, _, known = self._made_ready()
        figures = None
        if any(known.wanted.get(examples.category) for examples in template.categories):
            # Keyed by the masks themselves, which live as long as the sample: most changes leave them as they are.
            what = (id(template.categories), *(id(match.mask) for match in matches))
            if self._measured is None or self._measured[0] != what:
                self._measured = (what, compare_with_labels(template, known, matches, min_iou))
            figures = self._measured[1]
        hashes = {one for examples in template.categories for one in examples.pixel_hashes}
        least = template.parameters["min_score"]
        below = tuple(match for match in search.tried if match.score < least)
        is_example = self.image.pixel_hash in hashes
        return Preview(self.image, pixels, matches, figures, is_example, (*matches, *below), settled)

    def _propose(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Candidates]:
        """`Model.propose`, cached."""
        new = [prompt for prompt in prompts if prompt not in self._answers]
        fresh: dict[Prompt, Candidates] = {}
        if new:
            self._asked += 1
            fresh = dict(zip(new, map(_light, self._ask_model(embedding, new)), strict=True))
        answers = [self._answers.get(prompt) or fresh[prompt] for prompt in prompts]
        for prompt, candidates in fresh.items():
            if candidates.small.nbytes <= self._room:
                self._answers[prompt] = candidates
                self._room -= candidates.small.nbytes
        return answers

    def _find_light(self, embedding: Embedding, **options: Any) -> FoundObjects:
        """`SupportsPhrases.find`, with the masks as bits and without logits."""
        self._asked += 1
        found = finder(self._model)(embedding, **options)
        packed = [np.packbits(found.masks.one(number)) for number in range(len(found))]

        def make(index: int, out: NDArray[np.bool_]) -> None:
            out[:] = np.unpackbits(packed[index], count=out.size).reshape(out.shape)

        size_hw = embedding.original_size
        return replace(found, masks=LazyMasks(len(found), size_hw, make))

    def _again(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Candidates]:
        return [self._answers.get(prompt) or _no_answer(prompt) for prompt in prompts]

    def _made_ready(self) -> tuple[NDArray[np.uint8], ImageFeatures, LabelledImage]:
        if self._ready is None:
            pixels = thumbnail(self._read_pixels(), SIDE)
            size_hw = (pixels.shape[0], pixels.shape[1])
            # Masks are scaled up to the size in the embedding.
            features = as_features(self._read_embedding())
            features = ImageFeatures(replace(features.embedding, original_size=size_hw), features.compared)
            wanted = {name: [_shrunk(mask, size_hw) for mask in masks] for name, masks in self._wanted.items()}
            self._ready = (pixels, features, LabelledImage(self.image, lambda: features, wanted))
        return self._ready

    def _decode(self, embedding: Embedding, prompt: Prompt, **options: Any) -> Prediction:
        """`Model.decode`, cached: every change of a slider decodes the same few prompts."""
        asked = _what_was_asked(prompt, options)
        answer = self._decoded.get(asked)
        if answer is None:
            self._asked += 1
            answer = _Answer.of(self._model.decode(embedding, prompt, **options))
            while self._decoded and self._decoded_room < answer.nbytes:
                oldest = self._decoded.pop(next(iter(self._decoded)))
                self._decoded_room += oldest.nbytes
            self._decoded[asked] = answer
            self._decoded_room -= answer.nbytes
        return answer.prediction()

    def _decoded_again(self, embedding: Embedding, prompt: Prompt, **options: Any) -> Prediction:
        known = self._decoded.get(_what_was_asked(prompt, options))
        if known is not None:
            return known.prediction()
        return Prediction(np.zeros((0, 1, 1), bool), np.zeros(0, np.float32), np.zeros((0, 1, 1), np.float32), prompt)


@dataclass(frozen=True, eq=False)
class _Answer:
    """A cached prediction: masks as bits, logits in half precision."""

    prompt: Prompt
    scores: NDArray[np.float32]
    bits: NDArray[np.uint8]
    shape: tuple[int, ...]
    logits: NDArray[np.float16]

    @classmethod
    def of(cls, prediction: Prediction) -> _Answer:
        masks = prediction.masks
        logits = np.clip(prediction.low_res_logits, -60_000, 60_000).astype(np.float16)
        return cls(prediction.prompt, prediction.scores, np.packbits(masks), masks.shape, logits)

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes + self.logits.nbytes

    def prediction(self) -> Prediction:
        """Always identical to the bit: a mask input is recognised by its bytes."""
        bits = np.unpackbits(self.bits, count=int(np.prod(self.shape)))
        return Prediction(
            bits.reshape(self.shape).astype(bool), self.scores, self.logits.astype(np.float32), self.prompt
        )


def _what_was_asked(prompt: Prompt, options: Mapping[str, Any]) -> tuple[Any, ...]:
    given = {name: values for name, values in options.items() if values is not None}
    return (prompt, *((name, hashlib.sha256(np.asarray(given[name]).tobytes()).digest()) for name in sorted(given)))


def samples_of(images: Sequence[ImageRecord], annotated: Mapping[str, Any], count: int) -> list[ImageRecord]:
    """`count` of the images: a third of them annotated by hand, the others evenly spaced, in their order.

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


def _light(candidates: Candidates) -> Candidates:
    """The same without the logits: at this size the masks are smaller, as bits far smaller."""
    masks = [candidates.full(index) for index in range(len(candidates.scores))]
    packed = [(np.packbits(mask), mask.shape) for mask in masks]
    kept: dict[int, NDArray[np.bool_]] = {}

    def full(index: int) -> NDArray[np.bool_]:
        # The same array every time: cached values are keyed by it.
        if index not in kept:
            bits, (height, width) = packed[index]
            kept[index] = np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)
        return kept[index]

    return Candidates(candidates.prompt, candidates.scores, candidates.small.copy(), full)


def _no_answer(prompt: Prompt) -> Candidates:
    none: dict[int, NDArray[np.bool_]] = {}
    return Candidates(prompt, np.zeros(0, np.float32), np.zeros((0, 1, 1), bool), none.__getitem__)


def _shrunk(mask: NDArray[np.bool_], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    small = cv2.resize(mask.astype(np.uint8) * 255, size_hw[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small > 127)
