"""The records of the catalog: frozen values, never live database rows.

`NewImage`, `NewAnnotation` and `NewProposal` go in, all else comes out.
A record is a snapshot: it does not change when the catalog does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cards import count_text
from .printable import printable

__all__ = [
    "ACCEPTED",
    "BY_HAND",
    "CHOICE",
    "DONE",
    "EMPTY",
    "FLAG",
    "REJECTED",
    "SKIP",
    "STATES",
    "TEXT",
    "UNREAD",
    "UNSURE",
    "AnnotationRecord",
    "AttributeRecord",
    "CategoryRecord",
    "DatasetRecord",
    "Failure",
    "ImageRecord",
    "ImageRef",
    "NewAnnotation",
    "NewImage",
    "NewProposal",
    "ProposalRecord",
    "RemovalReport",
    "Verdict",
]

BY_HAND = "hand"
"""The source of an annotation that a user accepted."""

UNSURE, ACCEPTED, REJECTED = "unsure", "accepted", "rejected"
"""The review state of an annotation; "" if there is nothing to review."""

REVIEWS = ("", UNSURE, ACCEPTED, REJECTED)

DONE, EMPTY, SKIP = "done", "empty", "skip"
"""The state that a person gave an image; "" while it is open. Empty: looked at, and no object is on it."""

STATES = ("", DONE, EMPTY, SKIP)

FLAG, CHOICE, TEXT = "flag", "choice", "text"
"""The kinds of attributes."""

UNREAD = "unread:"
"""Prefix of the pixel hash of an image that was not read yet."""


@dataclass(frozen=True)
class DatasetRecord:
    """A named list of images, with the number of images and of those whose embedding is cached."""

    id: str
    name: str
    images: int
    cached: int


@dataclass(frozen=True)
class Failure:
    """A file, or a record in one, that was not used, and why."""

    path: str
    reason: str

    @classmethod
    def of(cls, place: str, error: Exception) -> Failure:
        """An error about a place, which its message need not name again."""
        return cls(place, str(error).removeprefix(f"{printable(place)}: "))

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}")


@dataclass(frozen=True)
class RemovalReport:
    """The number of images removed from a dataset, and of annotations removed with them."""

    dataset: str
    images: int
    annotations: int

    def __str__(self) -> str:
        images = f"{count_text(self.images, 'image')} left {self.dataset!r}"
        gone = f", {count_text(self.annotations, 'annotation')} with them" if self.annotations else ""
        return f"{images}{gone}; files and embeddings stay: adding them again computes nothing"


@dataclass(frozen=True)
class NewImage:
    """A picture to be added to a dataset; the path identifies it within the dataset.

    Parameters
    ----------
    path : str
        Path of the file, stored as given, so pass an absolute one.
    filename : str
        The name to show.
    content_hash, pixel_hash, perceptual_hash : str
        64 hexadecimal digits each: of the bytes, of the pixels, and the perceptual one.
    width, height : int
        Upright, in pixels.
    size_bytes, mtime_ns, inode : int
        Of the file, as in `os.stat`; equal values mean an unchanged file.
    embedding_cached : bool
        True when the embedding of these pixels is in the store.
    perceptual_version : int
        `samnb.images.perceptual.PERCEPTUAL_VERSION` when the perceptual hash was made, 0 when that is not known.
    perceptual_detail : float
        How reliable the perceptual hash is, see `samnb.images.perceptual.PerceptualHash`.
    """

    path: str
    filename: str
    content_hash: str
    pixel_hash: str
    perceptual_hash: str
    width: int
    height: int
    size_bytes: int
    mtime_ns: int
    inode: int
    embedding_cached: bool = False
    perceptual_version: int = 0
    perceptual_detail: float = 0.0

    @property
    def is_read(self) -> bool:
        """False for a picture that is to be read later."""
        return not self.pixel_hash.startswith(UNREAD)

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W) of the upright picture, in pixels."""
        return (self.height, self.width)


@dataclass(frozen=True)
class ImageRecord:
    """One image of one dataset.

    The fields that are not listed are those of `NewImage`. For an image that was not read yet (added with
    ``hash="later"``, or by the earlier server), unknown fields are "" or 0, and the pixel hash is no hash: see
    `is_read`.

    Parameters
    ----------
    id, dataset_id : str
        32 hexadecimal digits.
    dataset : str
        Name of the dataset.
    inode : int
        The file's number modulo 2**63, because every database can hold that.
    position : int
        Position in the dataset, from 0, in the order in which images were added.
    """

    id: str
    dataset: str
    dataset_id: str
    filename: str
    path: str
    content_hash: str
    pixel_hash: str
    perceptual_hash: str
    width: int
    height: int
    size_bytes: int
    mtime_ns: int
    inode: int
    embedding_cached: bool
    position: int
    perceptual_version: int = 0
    perceptual_detail: float = 0.0

    @property
    def is_read(self) -> bool:
        """False for an image whose pixels were not read yet."""
        return not self.pixel_hash.startswith(UNREAD)

    def as_new(self) -> NewImage:
        """The `NewImage` that would add this image."""
        return NewImage(**{name: getattr(self, name) for name in NewImage.__dataclass_fields__})

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W) of the upright picture, in pixels."""
        return (self.height, self.width)


@dataclass(frozen=True)
class ImageDetails:
    """What is known of an image beyond its pixels.

    Parameters
    ----------
    stack : str
        Path of the file of which it is one picture; "" for an image that is its file.
    place : mapping of str to int
        Its place in the stack, by axis.
    mapping : mapping
        How its values became pixels, as of `samnb.images.lazy.PixelMapping.as_dict`; empty if they are pixels.
    x_um, y_um, z_um : float
        Width and height of a pixel and distance of slices, in µm; 0 if not known.
    size_from : str
        "file" or "hand"; "" if the size is not known.
    """

    stack: str = ""
    place: Mapping[str, int] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=dict)
    x_um: float = 0.0
    y_um: float = 0.0
    z_um: float = 0.0
    size_from: str = ""


ImageRef = str | Path | ImageRecord
"""A reference to an image: file name, "dataset/file name", id, path or hash, or its record."""


@dataclass(frozen=True)
class NewAnnotation:
    """One accepted object, to be saved.

    Parameters
    ----------
    image_id : str
        The catalog's id of the image.
    category : str
        Class name of the object.
    rle : mapping
        ``{"size": [H, W], "counts": [...]}``, COCO run lengths of the mask.
    bbox : (x, y, w, h)
        Image pixels, XYWH.
    area : int
        Pixels inside the mask.
    score : float
        The model's own IoU estimate, about 0 to 1; 1 for a mask drawn by hand.
    source : str
        Its origin: ``"prompt"``, ``"import"``, ``"template:<name>@<version>"`` …
    prompt : mapping
        As of `Prompt.as_dict`; empty if there was none.
    model : str
        Fingerprint of the model, "" when there was none.
    layer : int
        Higher ones lie on top; of equal ones the later annotation does.
    review : str
        "", "unsure", "accepted" or "rejected".
    attributes : mapping
        Values of attributes by name, see `AttributeRecord`; those left out are False or "".
    """

    image_id: str
    category: str
    rle: Mapping[str, Any]
    bbox: tuple[float, float, float, float]
    area: int
    score: float = 1.0
    source: str = "prompt"
    prompt: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    layer: int = 0
    review: str = ""
    attributes: Mapping[str, bool | str] = field(default_factory=dict)


@dataclass(frozen=True)
class AnnotationRecord:
    """One saved annotation: `NewAnnotation`'s values, its id, and the names of its image and dataset.

    Parameters
    ----------
    id : int
        Grows with each annotation; the id of a removed one is not used again.
    image : str
        File name of the image.
    created_at, updated_at : str
        UTC, ISO 8601; `updated_at` None if it was never changed.
    """

    id: int
    image_id: str
    image: str
    dataset: str
    category: str
    rle: dict[str, Any]
    bbox: tuple[float, float, float, float]
    area: int
    score: float
    source: str
    prompt: dict[str, Any]
    model: str
    created_at: str
    layer: int = 0
    updated_at: str | None = None
    review: str = ""
    attributes: dict[str, bool | str] = field(default_factory=dict)


@dataclass(frozen=True)
class NewProposal:
    """A mask that a search offers and nobody accepted yet.

    Parameters
    ----------
    rle : mapping
        ``{"size": [H, W], "counts": [...]}``, COCO run lengths of the mask.
    bbox : (x, y, w, h)
        Image pixels, XYWH.
    area : int
        Pixels inside the mask.
    score : float
        What the search ranks by: the model's IoU estimate, for `samnb.proposals.Like` similarity x that estimate.
    prompt : mapping
        As of `Prompt.as_dict`; empty where the model found the mask without one.
    stability : float
        IoU of the mask with a raised and with a lowered threshold, 0 to 1; 1 where it was not asked for.
    """

    rle: Mapping[str, Any]
    bbox: tuple[float, float, float, float]
    area: int
    score: float
    prompt: Mapping[str, Any] = field(default_factory=dict)
    stability: float = 1.0


@dataclass(frozen=True)
class ProposalRecord:
    """One saved proposal: `NewProposal`'s values, its id, and the search it comes from.

    Parameters
    ----------
    id : int
        Grows with each proposal; the id of a removed one is not used again.
    pixel_hash : str
        Of the image: a proposal belongs to the picture, in whichever datasets it is.
    model : str
        Fingerprint of the model.
    search : str
        Key of the query, 64 hex digits; see `samnb.proposals.query_key`.
    query : dict
        The query itself, with its "kind".
    review : str
        "", "accepted" or "rejected": what a person decided.
    created_at : str
        UTC, ISO 8601.
    """

    id: int
    pixel_hash: str
    model: str
    search: str
    query: dict[str, Any]
    rle: dict[str, Any]
    bbox: tuple[float, float, float, float]
    area: int
    score: float
    prompt: dict[str, Any]
    stability: float
    review: str
    created_at: str


@dataclass(frozen=True)
class CategoryRecord:
    """A class name, its colour "#rrggbb", and its place among all of them, from 0."""

    name: str
    color: str
    position: int
    created_at: str = field(default="", compare=False, repr=False)
    """When it was saved first, which another name does not change; "" while annotations alone are of it."""


@dataclass(frozen=True)
class AttributeRecord:
    """A property that every annotation can have besides its category.

    Parameters
    ----------
    name : str
    kind : str
        "flag": True or False; "choice": one of `choices`, or ""; "text": any text.
    choices : tuple of str
        Of a choice; else empty.
    position : int
        Its place among all of them, from 0.
    """

    name: str
    kind: str = FLAG
    choices: tuple[str, ...] = ()
    position: int = 0


@dataclass(frozen=True)
class Verdict:
    """A person's verdict on two pictures that look alike.

    Parameters
    ----------
    first_hash, second_hash : str
        Their pixel hashes, the smaller one first.
    same : bool
    distance : int
        How many of the 256 bits differed then.
    decided_at : str
        UTC, ISO 8601.
    """

    first_hash: str
    second_hash: str
    same: bool
    distance: int
    decided_at: str
