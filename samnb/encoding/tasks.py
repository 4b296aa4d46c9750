"""`EncodeTask`: the encoding of one image as a picklable unit of work; `load_or_encode` does it.

It looks in the store, computes and publishes. Doing it twice only costs time, so any worker can do it: see
`samnb.encoding.on_workers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cache import EmbeddingCache
from ..errors import ModelError
from ..images import read_known
from ..images.smaller import read_smaller
from ..models import Model, SupportsBatches
from ..models.devices import on_threads
from ..prompts import Embedding
from ..store.entry import round_trip
from ..store.limits import Limits
from .storage_check import encode_to_store

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class EncodeTask:
    """All that a worker needs to encode one image; small and picklable.

    Parameters
    ----------
    key : str
        The key of the embedding in the store.
    path, pixel_hash, filename, dataset : str
        The image, and the hash its pixels must have.
    model, checkpoint, device : str
        As for `samnb.models.load_model`; checkpoint "" for none.
    folder, dtype : str
        The store, and its storage precision.
    limits : Limits
        The budget of the store.
    pixels : int
        Number of pixels of the image; 0: not known.
    precision : str
        Precision of the encoder, as in the key.
    content_hash : str
        Of the file's bytes when it was added: the same bytes have the same pixels. "" if not known.
    size_hw : (H, W), optional
        Of the image; None: not known.
    made_by : (str, str)
        The model's fingerprint and the embedding spec.
    longest : int, optional
        The image is read smaller, so that its longer side has at most this many pixels. None: at full size.
    """

    key: str
    path: str
    pixel_hash: str
    filename: str
    dataset: str
    model: str
    checkpoint: str
    device: str
    folder: str
    dtype: str
    limits: Limits = field(default_factory=Limits)
    pixels: int = 0
    precision: str = "auto"
    content_hash: str = ""
    size_hw: tuple[int, int] | None = None
    made_by: tuple[str, str] = ("", "")
    longest: int | None = None

    def at_full_size(self, embedding: Embedding) -> Embedding:
        """The embedding of an image that was read smaller, as one of the whole image: its masks have the full size."""
        return (
            embedding
            if self.longest is None or self.size_hw is None
            else replace(embedding, original_size=self.size_hw)
        )

    @property
    def metadata(self) -> dict[str, str]:
        """For the header of the entry."""
        return metadata_of(self.pixel_hash, self.filename, self.model, self.made_by)


def metadata_of(pixel_hash: str, filename: str, model: str, made_by: tuple[str, str]) -> dict[str, str]:
    """For the header of an entry: what its key is made of, by which it is checked, and what people look for.

    `made_by` is the model's fingerprint and the embedding spec.
    """
    return {
        "pixel_hash": pixel_hash,
        "filename": filename,
        "model": model,
        "fingerprint": made_by[0],
        "recipe": made_by[1],
    }


def read_for(model: Model, task: EncodeTask) -> Any:
    """What the model encodes of the task's image: after ``model.prepare``, which never copies it, or pixels.

    Raises
    ------
    ImageChanged
        The file no longer holds the pixels it was added with.
    """
    picture = checked_picture(task)
    return model.prepare(picture) if isinstance(model, SupportsBatches) else np.array(picture)


def encode_batch(model: Model, batch: Sequence[Any], *, threads: int | None = None) -> list[Embedding | Exception]:
    """The embedding, or the error, of each image of a batch that `read_for` read; `threads` as in `on_threads`."""
    try:
        if not isinstance(model, SupportsBatches):
            return [model.encode(pixels) for pixels in batch]
        with on_threads(threads):
            found: list[Embedding | Exception] = [*model.encode_prepared(batch)]
        if len(found) != len(batch):
            raise ModelError(f"{model.name}: expected {len(batch)} embeddings of as many images; got {len(found)}.")
        return found
    except Exception as error:
        if len(batch) == 1:
            return [error]
        # One of them may be the cause: each alone, so that only that one fails.
        return [result for one in batch for result in encode_batch(model, [one], threads=threads)]


def checked_picture(task: EncodeTask) -> Image:
    """The task's image, upright RGB, of the size to encode; its pixels are checked. Raises `ImageError`."""
    # The bytes of a JPEG are a tenth of its pixels; pixels are hashed only if the bytes changed.
    if task.longest is not None:
        return read_smaller(task.path, task.pixel_hash, task.dataset, task.longest, content_hash=task.content_hash)
    return read_known(task.path, task.pixel_hash, task.dataset, content_hash=task.content_hash)


def load_or_encode(task: EncodeTask, model: Model, cache: EmbeddingCache) -> tuple[Embedding, bool]:
    """The task's embedding, and True when it came from the store; computed here it is published."""

    def compute() -> Embedding:
        return task.at_full_size(encode_to_store(model, np.asarray(checked_picture(task)), cache.dtype))

    return of_size(task.size_hw, cache, task.key, compute, task.metadata)


def of_size(
    size_hw: tuple[int, int] | None,
    cache: EmbeddingCache,
    key: str,
    compute: Callable[[], Embedding],
    about: Mapping[str, str],
) -> tuple[Embedding, bool]:
    """`EmbeddingCache.get_or_compute` for a picture of (H, W); None: not known.

    An entry of another size is set aside: it is whole, and was written under the key of another picture.
    """
    embedding, hit = cache.get_or_compute(key, compute, about=about)
    if hit and size_hw not in (None, embedding.original_size):
        cache.set_aside(key, f"of a picture of (H, W) {embedding.original_size}, expected {size_hw}")
        embedding, hit = cache.get_or_compute(key, compute, about=about)
        if hit and embedding.original_size != size_hw:  # it cannot be moved, or a remote tier has it too
            return round_trip(compute(), cache.dtype), False
    return embedding, hit
