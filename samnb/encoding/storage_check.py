"""`compare_storage`: how much storing embeddings as float16 or int8 changes the masks of a model.

Each prompt is decoded from the embedding as the encoder returned it and from the stored one; the masks are compared.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cards import count_text, html_table
from ..errors import ModelError, UnknownName
from ..masks import mask_iou
from ..models import Model, check_draws, draws, embedding_spec_of
from ..prompts import Embedding, Prompt
from ..store.entry import DTYPES, make_key, round_trip, serialize

MIN_MEAN_IOU = 0.995
"""Mean IoU with the masks of float32 storage that a storage dtype needs to pass."""

MIN_LIKENESS = 0.995
"""Cosine with the features of float32 storage that a storage dtype needs to pass, for a model that draws no masks."""

TRIAL_PROMPTS, MIN_TRIAL_IOU = 12, 0.98  # below `MIN_MEAN_IOU`: one odd prompt of twelve is no reason to refuse
_log = logging.getLogger("samnb.cache")


@dataclass(frozen=True)
class StorageFigures:
    """The comparison of one storage dtype with float32.

    Parameters
    ----------
    dtype : str
    bytes : int
        Of one embedding's file.
    mean_iou, low_iou, worst_iou : float
        Between the mask that float32 scores best and the same candidate from this storage: the mean, the value that
        19 of 20 prompts reach, the minimum.
    served_iou : float
        The mean for the returned masks: the best candidate of each, which may be another one.
    others_chosen : float
        The share of prompts where it is another one.
    score_change : float
        The largest difference of a score.
    """

    dtype: str
    bytes: int
    mean_iou: float
    low_iou: float
    worst_iou: float
    served_iou: float
    others_chosen: float
    score_change: float

    @property
    def ok(self) -> bool:
        """True when the mean IoU is at least `MIN_MEAN_IOU`."""
        return self.mean_iou >= MIN_MEAN_IOU


@dataclass(frozen=True)
class StorageReport:
    """The comparison of storage dtypes with float32 on one model; ``report["int8"]`` is that of one dtype.

    Parameters
    ----------
    model : str
    images, prompts : int
        Number of compared images, and of prompts in total.
    figures : tuple of StorageFigures
    """

    model: str
    images: int
    prompts: int
    figures: tuple[StorageFigures, ...]

    def __getitem__(self, dtype: str) -> StorageFigures:
        return next(figures for figures in self.figures if figures.dtype == dtype)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"enough": MIN_MEAN_IOU}

    def __str__(self) -> str:
        on = f"{self.prompts} prompts on {count_text(self.images, 'image')}"
        lines = [f"Storage of {self.model}: masks of {on}, against float32"]
        lines.append(f"{'':10}{'MiB':>7}{'mean IoU':>10}{'19 of 20':>10}{'worst':>8}{'served':>8}{'others':>8}")
        for row in self.figures:
            lines.append(
                f"{row.dtype:<10}{row.bytes / 2**20:7.2f}{row.mean_iou:10.4f}{row.low_iou:10.4f}{row.worst_iou:8.3f}"
                f"{row.served_iou:8.4f}{row.others_chosen:8.1%}  {'fine' if row.ok else 'changes masks'}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads = ("stored as", "MiB", "mean IoU", "19 of 20 reach", "worst", "served", "another chosen", "")
        rows = [
            (
                *(row.dtype, f"{row.bytes / 2**20:.2f}", f"{row.mean_iou:.4f}", f"{row.low_iou:.4f}"),
                *(f"{row.worst_iou:.3f}", f"{row.served_iou:.4f}", f"{row.others_chosen:.1%}"),
                "✓ fine" if row.ok else "⚠ changes masks",
            )
            for row in self.figures
        ]
        caption = f"{self.model}: {self.prompts} prompts on {count_text(self.images, 'image')}, against float32 storage"
        return html_table(heads, rows, caption=caption)


def compare_storage(
    model: Model,
    embeddings: Iterable[Embedding],
    *,
    dtypes: Sequence[str] = ("float16", "int8"),
    prompts: int = 32,
    seed: int = 0,
) -> StorageReport:
    """Decode the same prompts from the encoder's embedding and from what each dtype would have stored.

    Parameters
    ----------
    model : Model
    embeddings : iterable of Embedding
        Directly from ``model.encode``: a stored embedding has lost its digits already.
    dtypes : sequence of str
    prompts : int
        For each embedding: points, points with a background point, boxes; drawn by `seed`.

    Raises
    ------
    ModelError
        No embedding, or one that a dtype cannot hold.
    """
    check_draws(model)
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise UnknownName("storage dtype", dtype, DTYPES)
    compared: dict[str, list[_Compared]] = {dtype: [] for dtype in dtypes}
    sizes: dict[str, int] = {}
    images = 0
    for images, embedding in enumerate(embeddings, start=1):
        asked = random_prompts(embedding.original_size, prompts, seed=seed + images)
        truths = [model.decode(embedding, prompt) for prompt in asked]
        for dtype in dtypes:
            stored = round_trip(embedding, dtype)
            sizes[dtype] = len(serialize(_SOME_KEY, embedding, dtype=dtype, metadata={}))
            for prompt, truth in zip(asked, truths, strict=True):
                compared[dtype].append(_compare(truth, model.decode(stored, prompt)))
    if not images or prompts < 1:
        raise ModelError("compare_storage: expected at least one embedding and one prompt. Add a picture first.")
    figures = tuple(_figures(dtype, sizes[dtype], compared[dtype]) for dtype in dtypes)
    return StorageReport(model.name, images, images * prompts, figures)


def encode_to_store(model: Model, pixels: NDArray[np.uint8], dtype: str) -> Embedding:
    """``model.encode(pixels)`` for a store of this dtype; the first int8 one of each process is checked.

    The trial takes as long as two dozen clicks. float16 needs none: its range is checked for every value.

    Raises
    ------
    ModelError
        Stored as int8, this model's embeddings give other masks; the message says how much. From then on nothing is
        encoded.
    """
    check_refusal(model, dtype)
    return check_stored(model, model.encode(pixels), dtype)


def check_refusal(model: Model, dtype: str) -> None:
    """Raise `ModelError` if this dtype is known to give other masks; see `encode_to_store`."""
    if dtype == "int8" and (refusal := _refusals.get((model.fingerprint, embedding_spec_of(model)))):
        raise ModelError(refusal)


def check_stored(model: Model, embedding: Embedding, dtype: str) -> Embedding:
    """Check the storage on the first int8 embedding of a process, and return it; see `encode_to_store`."""
    if dtype == "int8":
        tried = (model.fingerprint, embedding_spec_of(model))
        with _trying:
            if tried not in _refusals:
                _refusals[tried] = _refusal(model, embedding, dtype)
        check_refusal(model, dtype)
    return embedding


def _refusal(model: Model, embedding: Embedding, dtype: str) -> str:
    if not draws(model):
        return _refusal_of_features(model, embedding, dtype)
    figures = compare_storage(model, [embedding], dtypes=[dtype], prompts=TRIAL_PROMPTS)[dtype]
    if figures.mean_iou >= MIN_TRIAL_IOU:
        _log.info("%s: stored as %s, mask IoU %.4f on %d prompts", model.name, dtype, figures.mean_iou, TRIAL_PROMPTS)
        return ""
    return (
        f"{model.name}: embeddings stored as {dtype} give other masks: mean IoU {figures.mean_iou:.3f} with those of "
        f"float32 on {TRIAL_PROMPTS} prompts, expected {MIN_TRIAL_IOU} or more. Open the session with "
        'cache={"dtype": "float16"}; session.check_storage() measures both on your images.'
    )


def _refusal_of_features(model: Model, embedding: Embedding, dtype: str) -> str:
    stored = round_trip(embedding, dtype)
    likeness = min(_cosine(values, stored.tensors[name]) for name, values in embedding.tensors.items())
    if likeness >= MIN_LIKENESS:
        return ""
    return (
        f"{model.name}: features stored as {dtype} have a cosine of {likeness:.3f} with those of float32, expected "
        f'{MIN_LIKENESS} or more. Open the session with cache={{"dtype": "float16"}}.'
    )


def _cosine(values: NDArray[Any], other: NDArray[Any]) -> float:
    a, b = (np.asarray(one, np.float64).ravel() for one in (values, other))
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def random_prompts(size_hw: tuple[int, int], count: int, *, seed: int = 0) -> list[Prompt]:
    """Points, points with a background point, and boxes in turn, spread over an image of (H, W)."""
    random = np.random.default_rng(seed)
    height, width = size_hw
    scale = np.array([width, height]) * 0.98

    def point() -> tuple[float, float]:
        x, y = random.random(2) * scale + 0.01 * np.array([width, height])
        return float(x), float(y)

    def prompt(index: int) -> Prompt:
        if index % 4 == 2:
            return Prompt.of(points=[point(), point()], point_labels=[1, 0])
        if index % 4 == 3:
            (x, y), (w, h) = random.random(2) * scale * 0.6, (0.1 + 0.3 * random.random(2)) * scale
            return Prompt.of(box=(x, y, x + w, y + h))
        return Prompt.of(points=[point()])

    return [prompt(index) for index in range(count)]


@dataclass(frozen=True)
class _Compared:
    iou: float
    served: float
    other: bool
    score_change: float


def _compare(truth: Any, stored: Any) -> _Compared:
    best, chosen = int(np.argmax(truth.scores)), int(np.argmax(stored.scores))
    iou = _iou(truth.masks[best], stored.masks[best])
    served = iou if chosen == best else _iou(truth.masks[best], stored.masks[chosen])
    return _Compared(iou, served, chosen != best, float(np.abs(truth.scores - stored.scores).max()))


def _iou(a: Any, b: Any) -> float:
    return mask_iou(a, b) if a.any() or b.any() else 1.0


def _figures(dtype: str, size: int, compared: list[_Compared]) -> StorageFigures:
    ious = np.array([one.iou for one in compared])
    return StorageFigures(
        dtype=dtype,
        bytes=size,
        mean_iou=float(ious.mean()),
        low_iou=float(np.quantile(ious, 0.05)),
        worst_iou=float(ious.min()),
        served_iou=float(np.mean([one.served for one in compared])),
        others_chosen=float(np.mean([one.other for one in compared])),
        score_change=max(one.score_change for one in compared),
    )


_SOME_KEY = make_key("any pixels", "any weights", "any recipe")
_trying = threading.Lock()
_refusals: dict[tuple[str, str], str] = {}  # "" for a model that passed
