"""All errors that samnb raises on purpose.

Catch `SamnbError` to catch them all. Each class also derives from the matching built-in error, so
``except FileNotFoundError`` works too::

    SamnbError
    ├── ImageError (ValueError)         a picture cannot be used
    │   ├── ImageNotFound (FileNotFoundError)
    │   ├── ImageUnreadable             zero bytes, truncated, not a picture
    │   ├── ImageChanged                other pixels than it was added with
    │   └── ImageTooLarge               more pixels than the limit
    ├── PromptError (ValueError)        points or box that cannot be decoded
    │   └── PointOutsideImage
    ├── UnknownName (LookupError)       no model, dataset, category … of that name
    ├── NameTaken (ValueError)          a new name that is in use
    ├── SamePixels (ValueError)         a verdict on two images that cannot differ
    ├── WorkWouldBeLost (ValueError)    annotations made by hand that would be deleted too
    ├── UnknownOption (TypeError)       an unknown keyword
    ├── CheckpointError                 a weight file
    │   ├── CheckpointMissing (FileNotFoundError)
    │   ├── CheckpointDamaged (ValueError)
    │   ├── CheckpointMismatch (ValueError)
    │   └── DownloadFailed (ConnectionError)
    ├── StoreError (OSError)            the session folder or the embedding store
    │   ├── SessionReadOnly (PermissionError)
    │   ├── SessionTooNew
    │   ├── NetworkFolder               a catalog on another computer's disk
    │   ├── NoRoom                      an embedding that fits neither the budget nor the free disk
    │   ├── SettingError (ValueError)   an environment variable that cannot be parsed
    │   └── TierUnavailable             a Redis, bucket or shared folder that does not answer, or is full
    ├── TemplateError (ValueError)      a template that cannot be used
    │   └── TemplateMismatch            made with another model
    ├── RecipeError (ValueError)        a recipe that cannot be read, or not be replayed here
    ├── FormatError (ValueError)        a file to import that is not of that format
    ├── PackageMissing (ImportError)    an optional package that is not installed
    │   └── ReaderMissing (ImageError)  the one that reads a picture's format
    ├── NothingToMeasure (ValueError)   an evaluation without a single known mask
    ├── WorkersLost (ConnectionError)   a cluster or an executor that takes no more work
    ├── ShardError (ValueError)         a shard that does not exist
    └── ModelError (RuntimeError)       a model that failed while encoding or decoding

A message says which thing failed, what was expected, what was found, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from os import PathLike
from typing import Any

from .printable import printable

__all__ = [
    "CheckpointDamaged",
    "CheckpointError",
    "CheckpointMismatch",
    "CheckpointMissing",
    "DownloadFailed",
    "FormatError",
    "ImageChanged",
    "ImageError",
    "ImageNotFound",
    "ImageTooLarge",
    "ImageUnreadable",
    "ModelError",
    "NameTaken",
    "NetworkFolder",
    "NoRoom",
    "NothingToMeasure",
    "PackageMissing",
    "PointOutsideImage",
    "PromptError",
    "ReaderMissing",
    "RecipeError",
    "SamePixels",
    "SamnbError",
    "SessionReadOnly",
    "SessionTooNew",
    "SettingError",
    "ShardError",
    "StoreError",
    "TemplateError",
    "TemplateMismatch",
    "TierUnavailable",
    "UnknownName",
    "UnknownOption",
    "WorkWouldBeLost",
    "WorkersLost",
]

AnyPath = str | PathLike[str]


class SamnbError(Exception):
    """Base of all errors that samnb raises on purpose."""

    def __str__(self) -> str:
        return printable(super().__str__(), lines=True)

    def __reduce__(self) -> tuple[Any, ...]:
        # The message is made of other arguments: a worker's error would not arrive.
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[SamnbError], args: tuple[Any, ...], values: dict[str, Any]) -> SamnbError:
    own = OSError if issubclass(kind, OSError) else Exception
    error: SamnbError = own.__new__(kind, *args)  # type: ignore[assignment]
    error.args = args
    vars(error).update(values)
    return error


class ImageError(SamnbError, ValueError):
    """A picture cannot be used."""


class ImageNotFound(ImageError, FileNotFoundError):
    """There is no picture at a path."""

    def __init__(
        self, path: AnyPath, *, expected: str = "a picture file, a folder of pictures or a glob", found: str = ""
    ):
        self.path = str(path)
        found = found or "Check the path and the working directory"
        super().__init__(f"{self.path}: nothing found. Expected {expected}. {found}.")


class ImageUnreadable(ImageError):
    """A file that exists and cannot be decoded into pixels."""

    def __init__(self, path: AnyPath, reason: str):
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}. Expected a complete picture file; open or re-export it elsewhere.")


class ImageChanged(ImageError):
    """A file that no longer holds the pixels it was added with."""

    def __init__(self, path: AnyPath, dataset: str):
        self.path = str(path)
        super().__init__(
            f"{self.path}: its pixels changed since it was added to {dataset!r}. "
            f"Add it again with session.add({self.path!r}, dataset={dataset!r}), or put the old file back."
        )


class ImageTooLarge(ImageError):
    """A picture with more pixels than the limit."""

    def __init__(self, path: AnyPath, size_hw: tuple[int, int], limit: int):
        self.path = str(path)
        self.size_hw = size_hw
        height, width = size_hw
        super().__init__(
            f"{self.path}: {width} x {height} = {width * height:,} pixels, more than the limit of {limit:,}. "
            "Downscale it, or raise samnb.images.MAX_PIXELS if the memory is there."
        )


class PromptError(SamnbError, ValueError):
    """Points or a box that cannot be used as a prompt."""


class PointOutsideImage(PromptError):
    """A point or box corner that lies outside the picture."""

    def __init__(self, point: tuple[float, float], size_hw: tuple[int, int], image: str = "the image"):
        height, width = size_hw
        x, y = point
        super().__init__(
            f"({x:g}, {y:g}) lies outside {image}, which is {width} wide and {height} high. "
            f"Points are (x, y) in image pixels: 0 <= x <= {width}, 0 <= y <= {height}."
        )


class UnknownName(SamnbError, LookupError):
    """No image, model, dataset, category, template or format of that name, or `several` of it."""

    def __init__(
        self, kind: str, name: object, known: Iterable[str] = (), *, advice: str = "", several: str | None = None
    ):
        self.kind, self.name = kind, name
        known = sorted(map(str, known))
        shown = ", ".join(map(repr, known[:12])) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
        if several is not None:
            super().__init__(f"{several} {name!r}. Name one of: {shown}.")
            return
        close = get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"Unknown {kind} {name!r}.{hint} Known: {shown or 'none yet'}.{advice and ' '}{advice}")


class NameTaken(SamnbError, ValueError):
    """A new name that is in use."""

    def __init__(self, kind: str, name: str):
        super().__init__(f"There is a {kind} {name!r} already. Choose another name, or rename that one first.")


class SamePixels(SamnbError, ValueError):
    """A verdict on two images that cannot differ."""

    def __init__(self, first: str, second: str):
        super().__init__(
            f"{first} and {second} have the same pixels: expected two pictures of which something can be said. "
            "Such images are in session.duplicates(), and keep_one_of_each() keeps one of them."
        )


class WorkWouldBeLost(SamnbError, ValueError):
    """Annotations made by hand that would be deleted with their images or their category."""

    def __init__(self, what: str, annotations: int, way: str = "", *, lost: str = ""):
        self.annotations = annotations
        lost = lost or "annotation{s} by hand or from a file"
        way = way or "Keep them with session.export('coco', path), or call again with discard_annotations=True."
        lost = lost.format(s="" if annotations == 1 else "s")
        super().__init__(f"{what}: {annotations} {lost} would be deleted too. Nothing was changed. {way}")


class UnknownOption(SamnbError, TypeError):
    """A keyword that the call does not have."""

    def __init__(self, call: str, options: Iterable[str], known: Iterable[str]):
        names = ", ".join(map(repr, sorted(options)))
        super().__init__(f"{call} got unknown option {names}. Known options: {', '.join(sorted(known))}.")


class CheckpointError(SamnbError):
    """A weight file that is missing, damaged or of another model."""


class CheckpointMissing(CheckpointError, FileNotFoundError):
    """The weight file is not there."""


class CheckpointDamaged(CheckpointError, ValueError):
    """The weight file is truncated or altered."""


class CheckpointMismatch(CheckpointError, ValueError):
    """The weight file belongs to another model."""


class DownloadFailed(CheckpointError, ConnectionError):
    """A weight file that could not be downloaded."""

    def __init__(self, model: str, url: str, reason: str):
        super().__init__(
            f"The weights of {model!r} were not downloaded from {url}: {reason}. Try again, set SAMNB_MIRROR to a "
            "server that has the file, or fetch it by hand: `samnb models` says where it belongs."
        )


class StoreError(SamnbError, OSError):
    """The session folder or the embedding store cannot be used."""


class SessionReadOnly(StoreError, PermissionError):
    """The session folder cannot be written."""

    def __init__(self, folder: AnyPath, reason: Any = ""):
        detail = f" ({reason})" if reason else ""
        super().__init__(
            f"{folder}: cannot write here{detail}. A session keeps its catalog and embeddings in its folder: "
            "choose a folder you may write, or change the permissions."
        )


class SessionTooNew(StoreError):
    """The session folder was written by a newer samnb: it can only be read, or not be opened at all."""

    def __init__(self, folder: AnyPath, found: str, known: str, *, lacking: Sequence[str] = (), reading: bool = False):
        self.lacking = tuple(lacking)
        missing = f", and has no {', '.join(self.lacking[:5])} any more" if lacking else ""
        meaning = " and is open for reading only: to change it, upgrade" if reading else ": upgrade"
        super().__init__(
            f"{folder}: its catalog has schema {found}{missing}, this samnb knows up to {known}. "
            f"It was written by a newer version{meaning} with `pip install -U samnb`. Nothing was changed."
        )


class NetworkFolder(StoreError):
    """A SQLite catalog on a network file system, where several writers would damage it."""

    def __init__(self, path: AnyPath, kind: str, mount_point: str):
        super().__init__(
            f"{path}: on a network file system ({kind} at {mount_point}), where SQLite cannot keep several writers "
            "apart and the catalog may be damaged. Keep the catalog on a local disk and everything else here: "
            "Session(folder, database_url='sqlite:////local/disk/catalog.db'), or set DATABASE_URL to that or to a "
            "PostgreSQL. If one process at a time uses it, SAMNB_NETWORK_CATALOG=1 opens it here, slower. "
            "Nothing was changed."
        )


class NoRoom(StoreError):
    """An embedding that fits neither the budget nor the free disk, with nothing left to evict."""


class SettingError(StoreError, ValueError):
    """An environment variable that cannot be understood."""

    def __init__(self, name: str, text: str, expected: str):
        self.expected = expected
        super().__init__(f"{name}: expected {expected}; got {text!r}. What each variable means: samnb settings.")


class TierUnavailable(StoreError):
    """A remote tier that does not answer or cannot be written; the cache continues without it."""

    def __init__(self, tier: str, reason: object, *, can_read: bool = False):
        self.can_read = can_read
        super().__init__(f"{tier}: {'cannot be written' if can_read else 'does not answer'} ({reason}).")


class TemplateError(SamnbError, ValueError):
    """A template that cannot be used: its name, a parameter out of range, an example without its picture."""


def earlier_tiny(fingerprint: str) -> str:
    """Where the weights of the earlier net of `tiny` are, for what was made with it; "" for another model.

    >>> earlier_tiny("sam-01ab")
    ''
    """
    if not fingerprint.startswith("tiny-"):
        return ""
    return (
        ' That is the earlier net of "tiny"; a file of samnb\'s repository opens it: '
        'samnb.Session(model="tiny", checkpoint="training/earlier_weights/tiny.safetensors").'
    )


class TemplateMismatch(TemplateError):
    """A template whose prototypes were made with another model."""

    def __init__(self, name: str, template_model: str, session_model: str, *, features: str = ""):
        text = (
            f"Template {name!r} compares features of {features!r} as {template_model}, here that is {session_model}. "
            f"Open the one it was made with: session.use_features({features!r}, checkpoint=…), or make the template "
            f"again: session.template({name!r}, features={features!r})."
            if features
            else f"Template {name!r} was made with model {template_model}, this session runs {session_model}. "
            f"Prototypes cannot be compared across models: make it again with session.template({name!r})."
        )
        super().__init__(text + earlier_tiny(template_model))


class RecipeError(SamnbError, ValueError):
    """A recipe cannot be read, or not be replayed here."""


class FormatError(SamnbError, ValueError):
    """A file to import that is not of the expected format."""

    def __init__(self, path: AnyPath, expected: str, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(
            f"{self.path}: expected {expected}, but {reason}. Nothing was imported. Write it anew with the tool "
            "that made it, or name another format; docs/exchange.md tells what is understood."
        )


class PackageMissing(SamnbError, ImportError):
    """An optional package that is not installed."""

    def __init__(self, what: str, package: str, extra: str, instead: str = ""):
        super().__init__(
            f'{what} needs {package}, which is not installed: pip install "samnb[{extra}]". {instead}'.strip()
        )


class ReaderMissing(ImageError, PackageMissing):
    """A picture whose format an optional package reads, which is not installed."""


class NothingToMeasure(SamnbError, ValueError):
    """An evaluation without a single known mask."""

    def __init__(self, where: str):
        super().__init__(
            f"{where}: no mask to measure a model on. Accept some annotations by hand (Session.annotate), "
            "or give a COCO file or a folder of mask pictures: samnb evaluate --help."
        )


class WorkersLost(SamnbError, ConnectionError):
    """A cluster or an executor that takes no more work. What was finished is kept; the same call does the rest."""


class ShardError(SamnbError, ValueError):
    """A shard of a session's images that does not exist."""


class ModelError(SamnbError, RuntimeError):
    """A model failed while encoding or decoding."""
