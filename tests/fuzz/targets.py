"""What is fuzzed: each target reads bytes as samnb reads a file of others, and may refuse them, clearly.

A target returns, or raises the error that its reader promises; anything else is a finding. So is a hang, or memory.
Nothing here loads torch, which alone takes half of the memory that a target may take.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from samnb.errors import FormatError, ImageError, RecipeError, SettingError, StoreError, TemplateError
from samnb.exchange.readers.coco import read_coco
from samnb.exchange.readers.labelme import embedded_picture, read_labelme
from samnb.exchange.readers.mask_pngs import read_mask_pictures
from samnb.exchange.readers.objects import Contents
from samnb.exchange.readers.voc import read_voc
from samnb.exchange.readers.yolo import read_yolo
from samnb.images.folder import PictureFolder
from samnb.images.lazy.opening import open_source
from samnb.images.lazy.source import Region
from samnb.images.lazy.view_files import view_in
from samnb.images.names import readings
from samnb.images.reading import pixel_hashes, read_picture
from samnb.images.zip_files import is_zip, members_of
from samnb.replay.recipe import Recipe
from samnb.settings import SETTINGS, cache_options, setting
from samnb.store import entry
from samnb.store.archive import import_entries
from samnb.store.header import created_at, header_of
from samnb.store.stats import CacheStats
from samnb.templates import Template

SIZE = (40, 60)
KEY = entry.make_key("pixels", "weights", "recipe")
BETWEEN = b"\n--file--\n"
"""Between the files of a folder in one input; the first line of each is its name."""

MAX_PIXELS = 5_000_000
"""The limit while inputs are tried: what is refused for its size is refused sooner."""

MAX_FILE_BYTES = 200_000_000
"""So is this one, of the values of a part that is read."""


def read_entry(content: bytes) -> None:
    """An entry of the cache, its checksum made right: random bytes would never come past it."""
    header = header_of(content)
    created_at(header)
    digits = entry._digits_at()
    raw = bytearray(content)
    if len(raw) >= digits.stop:
        raw[8 : digits.start] = entry._BEFORE_DIGEST
        raw[digits] = entry._digest(raw)
    with suppress(entry.EntryDamaged):
        entry.verify(bytes(raw), KEY)
    with suppress(entry.EntryDamaged):
        embedding = entry.deserialize(bytes(raw), KEY)
        for tensor in embedding.tensors.values():
            tensor.sum()


def read_coco_file(content: bytes) -> None:
    with suppress(FormatError):
        _read_objects(read_coco(_file("coco.json", content)))


def read_labelme_file(content: bytes) -> None:
    file = _file("labelme.json", content)
    with suppress(FormatError):
        _read_objects(read_labelme(file))
    with suppress(ImageError):
        embedded_picture(file)


def read_masks(content: bytes) -> None:
    """A folder of mask pictures: its files are in one input."""
    with _folder(content) as folder, suppress(ImageError, FormatError):
        (folder / "pictures").mkdir(exist_ok=True)
        for name in ("a.jpg", "b.png"):
            (folder / "pictures" / name).write_bytes(b"only its name is used")
        for path in (folder / "masks", folder):
            _read_objects(read_mask_pictures(path, PictureFolder(folder / "pictures"), categories=()))


def read_voc_folder(content: bytes) -> None:
    """A folder of XML files and masks: its files are in one input."""
    with _folder(content) as folder, suppress(ImageError, FormatError):
        _read_objects(read_voc(folder / "masks"))


def read_yolo_folder(content: bytes) -> None:
    """A folder of labels, with the files that name its categories: its files are in one input."""
    with _folder(content) as folder, suppress(ImageError, FormatError):
        (folder / "pictures").mkdir(exist_ok=True)
        for name in ("a.jpg", "b.png"):
            (folder / "pictures" / name).write_bytes(b"only its name is used")
        _read_objects(read_yolo(folder / "masks", PictureFolder(folder / "pictures")))


def read_recipe(content: bytes) -> None:
    with suppress(RecipeError):
        Recipe.read(_file("recipe.json", content)).as_bytes()


def read_template(content: bytes) -> None:
    with suppress(TemplateError):
        Template.load(_file("template.json", content)).as_dict()


def read_archive(content: bytes) -> None:
    with suppress(StoreError):
        str(import_entries(_Verifying(), _file("entries.tar", content)))


def read_zip(content: bytes) -> None:
    with suppress(ImageError):
        is_zip(content)
        for member in members_of(content, "pictures.zip"):
            if not member.reason:
                with suppress(ImageError):
                    member.read()


def read_picture_file(content: bytes) -> None:
    """A picture, by Pillow or by the readers of scientific formats."""
    file = _file("picture", content)
    with suppress(ImageError):
        read_picture(file)
    with suppress(ImageError):
        pixel_hashes(content)


def read_source(content: bytes) -> None:
    """A TIFF, DICOM or HEIC picture, in parts; and a view file."""
    with suppress(ImageError):
        view_in(content, "a view")
    with suppress(ImageError), open_source(content, "picture") as source:
        about = source.description
        height, width = about.size_hw
        region = Region(0, 0, min(height, 64), min(width, 64))
        source.read(at={axis.name: axis.size - 1 for axis in about.stack}, region=region)


def read_settings(content: bytes) -> None:
    """Each environment variable with this text."""
    text = content.decode("utf-8", "surrogateescape").replace("\0", "")
    for each in SETTINGS:
        with suppress(SettingError):
            setting(each.name, {each.name: text})
        with suppress(SettingError):
            cache_options(Path("/"), {each.name: text})


TARGETS: dict[str, Callable[[bytes], None]] = {
    "entry": read_entry,
    "coco": read_coco_file,
    "labelme": read_labelme_file,
    "masks": read_masks,
    "voc": read_voc_folder,
    "yolo": read_yolo_folder,
    "recipe": read_recipe,
    "template": read_template,
    "archive": read_archive,
    "zip": read_zip,
    "picture": read_picture_file,
    "source": read_source,
    "settings": read_settings,
}


# -- helpers -------------------------------------------------------------------------------------------


def _read_objects(contents: Contents) -> None:
    for picture in contents.pictures[:20]:
        list(readings(picture.name))
    for one in contents.objects[:20]:
        for read in (one.read_mask, one.read_box):
            with suppress(ImageError):
                if read is not None:
                    read(SIZE)


@cache
def _place() -> Path:
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="samnb-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def _file(name: str, content: bytes) -> Path:
    path = _place() / name
    path.write_bytes(content)
    return path


@contextmanager
def _folder(content: bytes) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=_place()))
    (folder / "masks").mkdir()
    try:
        for piece in content.split(BETWEEN)[:10]:
            name, _, inside = piece.partition(b"\n")
            path = folder / "masks" / name.decode("latin-1").replace("\0", "").strip()
            with suppress(OSError, ValueError):  # no name of a file
                if path.resolve().is_relative_to(folder / "masks"):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(inside)
        yield folder
    finally:
        shutil.rmtree(folder)


class _Verifying:
    """A cache that only verifies."""

    folder = None

    def keys(self) -> Iterator[str]:
        return iter(())

    def raw(self, key: str) -> bytes | None:
        return None

    def add_raw(self, key: str, raw: bytes) -> bool:
        entry.verify(raw, key)
        return True

    def sync(self) -> None:
        pass

    def stats(self) -> CacheStats:
        return CacheStats(*[0] * 8)
