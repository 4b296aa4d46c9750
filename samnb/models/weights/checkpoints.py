"""Weight files: finding them, checking that they are the right ones, hashing and reading them.

Everything down to `WeightFile.read` works without torch, so a wrong or truncated file is reported at once and not after
seconds of imports. No file is ever unpickled freely: names are read from the pickle's opcodes, tensors by
``torch.load(weights_only=True)``.
"""

from __future__ import annotations

import os
import pickle
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import Any

import platformdirs

from ...errors import CheckpointDamaged, CheckpointError, CheckpointMismatch, CheckpointMissing
from ...json_files import parse_json
from ...settings import setting
from .file_hashes import Stamp, file_sha256, file_stamp

_BUNDLED = Path(__file__).parents[1] / "tiny" / "weights"
_LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch files from before the zip format begin with this pickle
_SAM_DEPTHS = {12: "vit_b", 24: "vit_l", 32: "vit_h"}
TRANSFORMERS = "a transformers model"
META_SAM2 = "SAM 2 as Meta published it"
SAM3 = "SAM 3 of transformers"
_OTHER_FAMILIES = {
    "image_encoder.trunk.": META_SAM2,
    "sam_mask_decoder.": META_SAM2,
    "mask_decoder.hf_token.": "SAM-HQ as its authors published it",
    "image_encoder.layers.": "mobile_sam",
    "vision_encoder.": TRANSFORMERS,
    "detector_model.": SAM3,
}


@dataclass(frozen=True)
class ModelInfo:
    """The facts about a model that are known before any file is opened.

    Parameters
    ----------
    name : str
        The registry's name: ``"tiny"``, ``"vit_b"``, …
    family : str
        Models of one family share their preprocessing; first part of a fingerprint.
    file_name : str
        Of the published weight file; "" for a model without weights.
    size_bytes, sha256 : int or None, str or None
        Of the published weight file; None in the registry for a bundled one, measured by `available_models`.
    bundled : bool
        True when the weights ship with samnb.
    description : str
        One line that helps to choose a model.
    url : str
        Where the published weight file can be downloaded; samnb does so on request.
    licence : str
        Of the weights.
    layout : str or None
        The result of `looks_like` for its tensors' names, if it is not the model's name; "" for any other layout.
    files : tuple of str
        If the weights are a folder called `file_name`: the files it must hold, the tensors first.
    packages : tuple of str
        Packages it needs beside those that samnb itself needs.
    extra : str
        The extra of samnb that installs them.
    parameters : int
        Approximate number; 0 if `size_bytes` is known.
    single : ModelInfo, optional
        If the weights are a folder: the same weights as one file in their authors' own layout, which works too.
    depths : dict
        Model name by the number of blocks of the image encoder, where several models share one layout.
    gated : bool
        Its owners give access on request.
    phrases : bool
        It finds objects by words: a `samnb.models.SupportsPhrases`.

    Examples
    --------
    >>> info = ModelInfo("mine", "mine", "", None, None, bundled=False, description="Without a weight file.")
    >>> info.name, info.licence
    ('mine', 'Apache-2.0')
    """

    name: str
    family: str
    file_name: str
    size_bytes: int | None
    sha256: str | None
    bundled: bool
    description: str
    url: str = ""
    licence: str = "Apache-2.0"
    layout: str | None = None
    files: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    extra: str = ""
    parameters: int = 0
    single: ModelInfo | None = None
    depths: Mapping[int, str] = field(default_factory=dict, repr=False)
    gated: bool = False
    phrases: bool = False

    def of(self, path: Path) -> ModelInfo:
        """Tell which facts hold for a file: those of the folder of weights, or of the same weights as one file.

        Parameters
        ----------
        path : Path
            Of a weight file; it is not opened.

        Returns
        -------
        ModelInfo
            `single`, if there is one and the file is none of `files`; else the model itself.

        Examples
        --------
        >>> from samnb.models import available_models
        >>> info = {one.name: one for one in available_models()}["sam2.1_hiera_tiny"]
        >>> info.of(Path("sam2.1_hiera_tiny.pt")) == info.single, info.of(Path("model.safetensors")) == info
        (True, True)
        """
        return self.single if self.single is not None and path.name not in self.files else self

    @property
    def published(self) -> ModelInfo:
        """The weights that can be downloaded and checked: `single` where that has a SHA-256, or the model itself."""
        return self.single if self.single is not None and self.single.sha256 else self


@dataclass(frozen=True)
class WeightFile:
    """A weight file that was checked and hashed.

    Parameters
    ----------
    path : Path
    sha256 : str
        Of the whole file, 64 hex digits.
    stamp : tuple of int
        See `file_stamp`; when it was hashed.
    """

    path: Path
    sha256: str
    stamp: Stamp

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""
        return self.stamp[2]

    def read(self, *, inside: str = "") -> Mapping[str, Any]:
        """All tensors of the file by name, on the CPU and memory-mapped if possible; imports torch.

        `inside`: the name under which the file may hold them, as one mapping.

        Raises
        ------
        CheckpointDamaged
            The file cannot be read to its end, or changed after it was hashed.
        CheckpointMismatch
            It holds other things than tensors. Such a file is refused before any of its code can run.
        """
        self.check_unchanged()
        return _read_tensors(self.path, inside)

    def check_unchanged(self) -> None:
        """Raise `CheckpointError` unless the file is still the one that was hashed."""
        if not self.path.is_file():
            raise CheckpointMissing(f"{self.path}: the weight file is gone. Put it back, or load the model again.")
        with _readable(self.path):
            stamp = file_stamp(self.path)
            # A link or a permission more changes the stamp, and nothing in the file.
            same = stamp == self.stamp or file_sha256(self.path, stamp) == self.sha256
        if not same:
            raise CheckpointDamaged(
                f"{self.path}: changed after the model was opened with SHA-256 {self.sha256[:12]}…. "
                "Load the model again, so that its fingerprint tells the truth."
            )


def checkpoint_folders() -> list[Path]:
    """Folders searched for a published file name: ``SAMNB_CHECKPOINTS`` when set, then the user's data folder."""
    named = setting("SAMNB_CHECKPOINTS")
    folders = [named] if named else []
    return [*folders, Path(platformdirs.user_data_dir("samnb", appauthor=False)) / "checkpoints"]


def find_checkpoint(info: ModelInfo, checkpoint: str | os.PathLike[str] | None = None) -> Path:
    """The path of the weights: `checkpoint` when given, else the published file in `checkpoint_folders`.

    Raises
    ------
    CheckpointMissing
        No such file; the message names the file, its size and SHA-256, and where to put it.
    """
    # `os.path.isfile`: before Python 3.14 `Path.is_file` raises where a folder may not be read.
    if info.files:
        return _find_folder(info, checkpoint)
    if checkpoint is not None:
        path = Path(os.path.expanduser(checkpoint))
        if not os.path.isfile(path):
            what = "is a folder" if os.path.isdir(path) else "is not there, or may not be read"
            raise CheckpointMissing(f"{path}: the weight file for {info.name!r} {what}. {where_from(info)}")
        return path
    for folder in [_BUNDLED] if info.bundled else checkpoint_folders():
        if os.path.isfile(folder / info.file_name):
            return folder / info.file_name
    raise CheckpointMissing(f"The weights of {info.name!r} are not on this machine. {where_from(info)}")


def _find_folder(info: ModelInfo, checkpoint: str | os.PathLike[str] | None) -> Path:
    """The file with the tensors, in a folder that holds the others too."""
    if checkpoint is None:
        folders = [folder / info.file_name for folder in checkpoint_folders()]
    else:
        path = Path(os.path.expanduser(checkpoint))
        if os.path.isfile(path) and path.name not in info.files:
            if info.single is not None:
                return path
            raise CheckpointMismatch(f"{path}: is a file; {info.name!r} wants a folder. {where_from(info)}")
        folders = [path.parent if os.path.isfile(path) else path]
    for folder in folders:
        if all(os.path.isfile(folder / name) for name in info.files):
            return folder / info.files[0]
        if checkpoint is None and info.single is not None and os.path.isfile(folder.parent / info.single.file_name):
            return folder.parent / info.single.file_name
    if checkpoint is None:
        raise CheckpointMissing(f"The weights of {info.name!r} are not on this machine. {where_from(info)}")
    lacking = " and ".join(name for name in info.files if not os.path.isfile(folders[0] / name))
    raise CheckpointMissing(f"{folders[0]}: has no {lacking} for {info.name!r}. {where_from(info)}")


def open_checkpoint(info: ModelInfo, path: Path) -> WeightFile:
    """Check that `path` can be the weights of `info` and hash it; no torch, nothing unpickled.

    Raises
    ------
    CheckpointDamaged
        Truncated, empty, or changed.
    CheckpointMismatch
        Not a weight file, or that of another model.
    """
    info = info.of(path)
    with _readable(path):
        names = _tensor_names(info, path)
        if names is not None:
            check_names(info, path, names)
        path = path.resolve()
        stamp = file_stamp(path)
        weights = WeightFile(path, file_sha256(path, stamp), stamp)
    official = path.name == info.file_name and weights.size_bytes == info.size_bytes
    if official and info.sha256 is not None and weights.sha256 != info.sha256:
        raise CheckpointDamaged(
            f"{path}: has the published name and size but SHA-256 {weights.sha256}; expected {info.sha256}. "
            "Its content is altered: download it again, or rename it if that is meant."
        )
    return weights


def check_names(info: ModelInfo, path: Path, names: Collection[str]) -> None:
    """Raise `CheckpointMismatch` if the tensor names are those of another model than `info`."""
    if info.layout == "":
        return
    found, expected = looks_like(names), info.layout or info.name
    size = info.depths.get(_blocks(names, "image_encoder.trunk"), info.name)
    if found == expected and size != info.name:
        raise CheckpointMismatch(
            f"{path}: by its depth this is {size}, expected {info.name}. Load it under its own name, "
            f"or give the weights of {info.name!r}. {where_from(info)}"
        )
    if found is not None and found != expected:
        raise CheckpointMismatch(
            f"{path}: this looks like {found}, expected {info.name}. Load it under its own name, "
            f"or give the weights of {info.name!r}. {where_from(info)}"
        )
    if found is None and expected in {*_SAM_DEPTHS.values(), *_OTHER_FAMILIES.values()}:
        raise CheckpointMismatch(
            f"{path}: expected the weights of {info.name}; its names fit no model known here "
            f"(such as {', '.join(sorted(names)[:3]) or 'none'}). {where_from(info)}"
        )


def looks_like(names: Collection[str]) -> str | None:
    """The model a file contains, by its tensor names, or None.

    Examples
    --------
    >>> looks_like({f"image_encoder.blocks.{n}.norm1.weight" for n in range(32)})
    'vit_h'
    >>> looks_like({"image_encoder.trunk.pos_embed"})
    'SAM 2 as Meta published it'
    >>> looks_like({"hello"}) is None
    True
    """
    for prefix, family in _OTHER_FAMILIES.items():
        if any(name.startswith(prefix) for name in names):
            return family
    return _SAM_DEPTHS.get(_blocks(names, "image_encoder"))


def _blocks(names: Collection[str], encoder: str) -> int:
    start = re.compile(rf"{re.escape(encoder)}\.blocks\.(\d+)\.")
    return len({match[1] for name in names if (match := start.match(name))})


def where_from(info: ModelInfo) -> str:
    """For a message: the name of the file, its source, and where to put it."""
    if info.bundled:
        return f"The weights of {info.name!r} ship with samnb: leave checkpoint out, or reinstall samnb."
    place = checkpoint_folders()[0] / info.file_name
    if info.files:
        return (
            f"Put {' and '.join(info.files)}, as transformers saves them, into the folder {place}, or name another "
            f"folder: Session(checkpoint=…). They are at {info.url}; "
            f"`hf download {info.url.removeprefix('https://huggingface.co/')} --local-dir {place}` fetches them."
            + (" Ask for access there first, and log in: `hf auth login`." if info.gated else "")
            + (f" {info.single.file_name}, as one file, will do too: {where_from(info.single)}" if info.single else "")
        )
    source = f" from {info.url}" if info.url else ""
    if info.sha256 is None:
        return f"Put {info.file_name}{source} at {place}, or give any path: Session(checkpoint=…)."
    return (
        f"Run `samnb models download {info.name}`, or get {info.file_name} "
        f"({info.size_bytes} bytes, SHA-256 {info.sha256}){source} and put it at "
        f"{place}, or give any path: Session(checkpoint=…)."
    )


def _tensor_names(info: ModelInfo, path: Path) -> set[str] | None:
    """Strings of the file that may be tensor names; None for a legacy torch file, which must be loaded to know."""
    with path.open("rb") as file:
        head = file.read(64)
    size = path.stat().st_size
    if not head:
        raise CheckpointDamaged(f"{path}: is empty (0 bytes). {where_from(info)}")
    if head.startswith(b"PK"):
        return _names_in_zip(info, path, size)
    if path.suffix == ".safetensors":
        return _names_in_safetensors(info, path, size)
    if head.startswith(b"\x80") and _LEGACY_MAGIC in head:
        return None
    raise CheckpointMismatch(
        f"{path}: is not a weight file; it begins with {head[:16]!r}. Expected a file saved by torch.save "
        f"or a .safetensors file. {where_from(info)}"
    )


def _names_in_zip(info: ModelInfo, path: Path, size: int) -> set[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [archive.read(name) for name in archive.namelist() if name.split("/")[-1] == "data.pkl"]
        names = [{v for _, v, _ in pickletools.genops(content) if isinstance(v, str)} for content in pickles]
    # Errors of zipfile and pickletools on damaged bytes: a bad checksum or deflate stream, an impossible compression
    # or offset, a password. The file was read before, so OSError is one of these too.
    except (
        zipfile.BadZipFile,
        zlib.error,
        LZMAError,
        EOFError,
        LookupError,
        ValueError,
        RuntimeError,
        OSError,
    ) as error:
        expected = f", expected {info.size_bytes} for the published file" if info.size_bytes else ""
        raise CheckpointDamaged(
            f"{path}: is truncated or damaged ({error}): got {size} bytes{expected}. {where_from(info)}"
        ) from error
    if not names:
        raise CheckpointMismatch(f"{path}: is a zip file without torch weights in it. {where_from(info)}")
    return names[0]


def _names_in_safetensors(info: ModelInfo, path: Path, size: int) -> set[str]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        try:
            header: Any = parse_json(file.read(length)) if length < size else None
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = 8 + length + max(entry["data_offsets"][1] for entry in tensors.values())
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise CheckpointDamaged(f"{path}: its safetensors header cannot be read. {where_from(info)}") from error
    if end != size:
        raise CheckpointDamaged(f"{path}: is truncated: got {size} bytes, its header says {end}. {where_from(info)}")
    return set(tensors)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except CheckpointError:  # some of which are also the OSError below
        raise
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointDamaged(f"{path}: cannot be read ({reason}): check permissions and disk.") from error


@contextmanager
def opened_tensors(path: Path, framework: str = "pt") -> Iterator[Any]:
    """An open safetensors file, memory-mapped. Raises `CheckpointDamaged`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointDamaged(f"{path}: safetensors cannot read it: {_first_line(error)}") from error


def _read_tensors(path: Path, inside: str) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        with opened_tensors(path) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise CheckpointMismatch(
            f"{path}: refused. It holds something else than plain tensors, or is damaged: {_first_line(error)} "
            "Save a state dict (torch.save(model.state_dict(), path)) and load that."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise CheckpointDamaged(f"{path}: torch cannot read it: {_first_line(error)}") from error
    if inside and isinstance(state, Mapping) and isinstance(state.get(inside), Mapping):
        state = state[inside]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointMismatch(
            f"{path}: expected a plain state dict (tensors by name); got {type(state).__name__} "
            f"with {', '.join(map(str, list(state)[:3])) if isinstance(state, Mapping) else 'no names'}."
        )
    return state


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
