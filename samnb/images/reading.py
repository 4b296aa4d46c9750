"""Picture files, PIL images and arrays read as pixels.

Pixels are always an (H, W, 3) uint8 RGB array, upright (EXIF orientation applied):

- transparency becomes white, CMYK and palettes become RGB, of an animation the first frame is used;
- pictures of more than 8 bits are scaled by their depth, see `samnb.images.depth`;
- colour profiles are not applied.

`read_picture` also gives the three hashes of a picture: the *content hash* of its bytes, the *pixel hash* of its pixels
(a lossless re-save keeps it), and the *perceptual hash*, which is alike for pictures that look alike. Two pictures that
differ in values which 8 bits cannot show have different pixel hashes.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import AnyPath, ImageChanged, ImageError, ImageUnreadable, ReaderMissing
from ..remote_files import is_address
from . import depth
from .files import read_file
from .frames import count_frames
from .hashing import hash_of_upright, pixel_hash
from .lazy.kinds import kind_of_bytes
from .lazy.opening import open_source
from .lazy.view import View
from .lazy.view_files import ViewFile, pixels_and_hash, shown_and_hash, stamp_of, view_in
from .opening import check_size, open_header, open_picture
from .perceptual import compute_perceptual_hash
from .tiff_check import is_doubtful, is_right

_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
_ORIENTATION_TAG = 0x0112
_STRIP = 4_000_000  # pixels that are blended at once
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture file, read and hashed in one pass.

    Parameters
    ----------
    path : Path or str
        As given; text for an address.
    pixels : (H, W, 3) uint8
        RGB, upright; read-only.
    size_hw : (H, W)
        Of the upright picture.
    content_hash, pixel_hash, perceptual_hash : str
        64 hexadecimal digits each.
    perceptual_detail : float
        `samnb.images.perceptual.PerceptualHash.detail`: how reliable the perceptual hash is.
    size_bytes, mtime_ns, inode : int
        Of the file when it was read; while they stay the same, the file counts as unchanged.
    frames : int
        Pages or frames of the file, counted to 1,000; the picture is the first.
    shown_as : str
        How values of more than 8 bits became pixels, in words; "" for others.
    view : ViewFile or None
        Of a view file; the status of the file is then that of its source.
    """

    path: Path | str
    pixels: Pixels = field(repr=False)
    size_hw: tuple[int, int]
    content_hash: str
    pixel_hash: str
    perceptual_hash: str
    size_bytes: int
    mtime_ns: int
    inode: int
    perceptual_detail: float
    frames: int = 1
    shown_as: str = ""
    view: ViewFile | None = None


@dataclass(frozen=True, eq=False)
class _Decoded:
    """A decoded picture: RGB and upright; the hash of values that 8 bits do not hold, or ""; how it once was read."""

    image: Image.Image
    deeper: str = ""
    earlier: Image.Image | None = None
    frames: int = 1
    content: bytes = field(default=b"", repr=False)
    """The file, where an earlier version took its hash."""
    shown_as: str = ""
    """How values that are not shown as they are became pixels, in words."""
    view: ViewFile | None = None

    @property
    def has_earlier(self) -> bool:
        """True if an earlier version knows it by another pixel hash."""
        return bool(self.deeper or self.content) or self.earlier is not None

    @property
    def pixel_hash(self) -> str:
        return self.deeper or hash_of_upright(self.image)

    def known_as(self, expected_hash: str) -> Image.Image | None:
        """The picture as it was when its pixel hash was that; None if it never was."""
        if self.pixel_hash == expected_hash or (self.content and depth.hash_of_file(self.content) == expected_hash):
            return self.image
        seen = (self.image, self.earlier) if self.deeper else (self.earlier,)
        return next((one for one in seen if one is not None and hash_of_upright(one) == expected_hash), None)


def read_pixels(path: AnyPath) -> Pixels:
    """Pixels of a picture file: (H, W, 3) uint8, RGB, upright.

    Raises
    ------
    ImageNotFound
        There is no such file.
    ImageUnreadable
        It is empty, truncated, not a picture, or may not be read.
    ImageTooLarge
        More than `MAX_PIXELS` pixels.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from samnb.images import encode_png
    >>> file = pathlib.Path(tempfile.mkdtemp(), "grey.png")
    >>> _ = file.write_bytes(encode_png(np.full((4, 6, 3), 99, np.uint8)))
    >>> read_pixels(file).shape
    (4, 6, 3)
    """
    return np.array(_decode(read_file(path)[0], path).image)


def read_upright(path: AnyPath, *, content_hash: str = "") -> tuple[Image.Image, bool]:
    """The picture as an RGB, upright PIL image: `read_pixels` without the copy; raises the same errors.

    Also True when the file's bytes have that SHA-256: then the pixels are those of an earlier reading.
    """
    content = read_file(path)[0]
    decoded = _decode(content, path)
    return decoded.image, not decoded.has_earlier and hashlib.sha256(content).hexdigest() == content_hash


def read_known(path: AnyPath, expected_hash: str, dataset: str, *, content_hash: str = "") -> Image.Image:
    """The RGB, upright PIL image of a file that has not changed since it was added.

    The key of an embedding holds the pixels' hash: with the pixels of a changed file, a wrong embedding would be saved
    for every later session.

    Parameters
    ----------
    expected_hash : str
        The pixel hash it was added with, by this or an earlier version.
    dataset : str
        Its dataset in messages.
    content_hash : str
        The SHA-256 of its bytes, if known: the pixels of the same bytes need not be hashed.

    Raises
    ------
    ImageError
        The file cannot be read, or holds other pixels now (`ImageChanged`).
    """
    return known_picture(read_file(path)[0], path, expected_hash, dataset, content_hash=content_hash)


def known_picture(
    content: bytes, path: AnyPath, expected_hash: str, dataset: str, *, content_hash: str = ""
) -> Image.Image:
    """`read_known` of a file that was read."""
    decoded = _decode(content, path)
    if not decoded.has_earlier and content_hash and hashlib.sha256(content).hexdigest() == content_hash:
        return decoded.image
    known = decoded.known_as(expected_hash)
    if known is None:
        raise ImageChanged(path, dataset)
    return known


def upright_picture(image: Image.Image, path: AnyPath) -> Image.Image:
    """The RGB, upright PIL image of an open picture."""
    return _decoded(image, path).image


def pixel_hashes(source: AnyPath | bytes) -> tuple[str, ...]:
    """The pixel hash of a file, then others by which earlier versions, or copies of 8 bits, may know it."""
    decoded = _decode(source, "") if isinstance(source, bytes) else _decode(read_file(source)[0], source)
    shown = [hash_of_upright(one) for one in (decoded.image, decoded.earlier) if one is not None]
    of_file = [depth.hash_of_file(decoded.content)] if decoded.content else []
    return tuple(dict.fromkeys([decoded.pixel_hash, *shown, *of_file]))


def read_picture(path: AnyPath) -> Picture:
    """Read a picture file, or an object at an address, once: pixels, hashes, and what identifies the unchanged file.

    Raises
    ------
    ImageNotFound, ImageUnreadable, ImageTooLarge
        As `read_pixels`.
    """
    content, status = read_file(path)
    decoded = _decode(content, path)
    pixels = np.asarray(decoded.image)
    perceptual = compute_perceptual_hash(decoded.image)
    # An object's size as its store tells it, by which the next look compares it.
    size_bytes = status.st_size if is_address(path) else len(content)
    if decoded.view is not None:
        # An unchanged view of a file that changed is another picture.
        status = stamp_of(decoded.view.path_from(path)) or status
        size_bytes = status.st_size
    return Picture(
        path=str(path) if is_address(path) else Path(path),
        pixels=pixels,
        size_hw=pixels.shape[:2],
        content_hash=hashlib.sha256(content).hexdigest(),
        pixel_hash=decoded.deeper or pixel_hash(pixels),
        perceptual_hash=perceptual.hex,
        size_bytes=size_bytes,
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
        perceptual_detail=perceptual.detail,
        frames=decoded.frames,
        shown_as=decoded.shown_as,
        view=decoded.view,
    )


def as_pixels(image: Image.Image | NDArray[Any]) -> Pixels:
    """Pixels of a PIL image or an array; always a new array.

    Parameters
    ----------
    image : PIL.Image.Image or ndarray
        A PIL image of any mode, its EXIF orientation applied. An array is (H, W), (H, W, 1), (H, W, 3) RGB or
        (H, W, 4) RGBA of uint8, bool, uint16 (divided by 257) or float in 0..1; alpha is blended with white.

    Returns
    -------
    (H, W, 3) uint8
        RGB, upright. Of a grey picture of 12 bits a file shows more: it is stretched over the depth that holds its
        highest value, which the array of one part of a picture does not tell.

    Raises
    ------
    ImageError
        Another type, shape or dtype, values that are not finite or out of range; more than `MAX_PIXELS`.

    Examples
    --------
    >>> as_pixels(np.array([[0.0, 1.0]]))[0].tolist()
    [[0, 0, 0], [255, 255, 255]]
    >>> as_pixels(Image.new("CMYK", (5, 2))).shape
    (2, 5, 3)
    """
    if isinstance(image, Image.Image):
        check_size((image.height, image.width), "the PIL image")
        return np.array(_decoded(image, getattr(image, "filename", "") or "the PIL image").image)
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"Expected a PIL image or a NumPy array, got {type(image).__name__}. "
            "Read a file with samnb.images.read_pixels(path); turn other containers into an array first."
        )
    _check_shape(image.shape)
    check_size(image.shape[:2], "the array")
    values = _bytes_of(image)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[2] == 4:
        return np.array(_on_white(Image.fromarray(np.ascontiguousarray(values))))
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)), order="C")


def suffix_for(content: bytes) -> str:
    """The file name suffix of a picture's format, "" for other content.

    >>> from samnb.images import encode_png
    >>> suffix_for(encode_png(np.zeros((1, 1, 3), np.uint8))), suffix_for(b"text")
    ('.png', '')
    """
    try:
        with open_picture(content) as image:
            form = image.format or ""
            return _SUFFIXES.get(form, f".{form.lower()}")
    except ImageError:
        return ""


# ---------------------------------------------------------------- reading


def _decode(content: bytes, path: AnyPath) -> _Decoded:
    view = view_in(content, path)
    if view is not None:
        pixels, values_hash = shown_and_hash(view, path)
        return _Decoded(Image.fromarray(pixels), values_hash, shown_as=str(view.mapping), view=view)
    kind = kind_of_bytes(content)
    if kind in ("DICOM", "HEIC"):
        return _decode_lazily(content, path)
    try:
        return _decode_by_pillow(content, path)
    except ImageUnreadable as error:
        if kind != "TIFF":
            raise
        try:
            return _decode_lazily(content, path)
        except ReaderMissing as missing:
            raise missing from error
        except ImageUnreadable as other:
            # Of a file that is damaged, Pillow says what; a layout that tifffile refuses is named by it.
            raise (error if "damaged" in str(other) or "decoded" in str(other) else other) from error


def _decode_lazily(content: bytes, path: AnyPath) -> _Decoded:
    """The first picture of a file that Pillow does not read, or reads wrongly."""
    with open_source(content, path) as source:
        about = source.description
        check_size(about.size_hw, path)
        mapping = View().mapping(source)
        pixels, values_hash = pixels_and_hash(source, mapping, {}, path, blend=True)
        if values_hash == pixel_hash(pixels):
            values_hash = ""
        count = len(about.channels)
        others = f", of {count} channels" if count > len(mapping.channels) + about.has_alpha else ""
        shown_as = f"{mapping}{others}" if values_hash else ""
        return _Decoded(Image.fromarray(pixels), values_hash, frames=about.slices, shown_as=shown_as)


def _decode_by_pillow(content: bytes, path: AnyPath) -> _Decoded:
    with open_picture(content, path) as image:
        if image.format == "TIFF":
            depth.check_tiff(image, path)
        deep, orientation = depth.deep_colour(content, image), orientation_of(image)
        frames, doubtful = count_frames(content, image), is_doubtful(image)
        decoded = _decoded(image, path, frames=frames)
        if doubtful and not is_right(content, image, orientation, path):
            return _decode_lazily(content, path)
        return _deeper(content, image, decoded, orientation) if deep else decoded


def _deeper(content: bytes, image: Image.Image, decoded: _Decoded, orientation: int) -> _Decoded:
    """A loaded picture of `depth.deep_colour`, with the hash of its values and, of 12 bits, their brightness."""
    upright = _turned(image, image)
    upright.format = image.format
    values = depth.colour_values(content, upright, orientation)
    if values is None:
        return replace(decoded, deeper=depth.hash_of_file(content))
    decoded = replace(decoded, deeper=depth.hash_of_colour(values), content=content)
    brighter = depth.low_colour(values)
    if brighter is None:
        return decoded
    return replace(decoded, image=_as_rgb(Image.fromarray(brighter)), earlier=decoded.image)


def _decoded(image: Image.Image, path: AnyPath, *, frames: int = 1) -> _Decoded:
    """RGB, upright, and the hash of what 8 bits do not hold."""
    try:
        image.load()
        if not depth.is_deep_grey(image):
            signed = depth.signed_grey(image)
            earlier = None if signed is None else _turned(_as_rgb(image), image)
            return _Decoded(_turned(_as_rgb(signed or image), image), "", earlier, frames)
        (shown, (low, high)), before = depth.grey_of(image, path), depth.earlier_grey(image)
        deeper = depth.hash_of_values(image, shown, orientation_of(image))
        if before is not None and (before == shown).all():
            before = None
        rgb, earlier = (
            None if grey is None else _turned(Image.fromarray(grey).convert("RGB"), image) for grey in (shown, before)
        )
        assert rgb is not None
        return _Decoded(rgb, deeper, earlier, frames, shown_as=f"{low:.6g}..{high:.6g}" if deeper else "")
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        raise ImageUnreadable(path, f"truncated or damaged ({error or type(error).__name__})") from error


def _turned(rgb: Image.Image, image: Image.Image) -> Image.Image:
    """Upright, by the EXIF tag of the loaded picture: Pillow itself turns a TIFF while loading, and drops the tag."""
    turn = _UPRIGHT.get(orientation_of(image))
    return rgb if turn is None else rgb.transpose(turn)


def orientation_in(path: AnyPath) -> int:
    """EXIF's orientation of a picture file, by its header alone. Raises `ImageError`."""
    with open_header(path) as image:
        return orientation_of(image)


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 if there is none, or EXIF is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, EOFError, struct.error):
        return 1  # as every viewer does with damaged EXIF
    return value if isinstance(value, int) else 1


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.has_transparency_data or image.mode in ("La", "RGBa"):
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """An RGBA picture blended with white, in strips: whole copies of a large one would take gigabytes."""
    rgb, rows = Image.new("RGB", image.size), max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(image.height, top + rows))
        strip = image.crop(box)
        white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
        rgb.paste(Image.alpha_composite(white, strip).convert("RGB"), box)
    return rgb


# ---------------------------------------------------------------- arrays


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        return
    hint = ""
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        hint = " Channels seem to come first: np.moveaxis(array, 0, -1) puts them last."
    elif len(shape) == 4:
        hint = " That is a batch: hand in one picture at a time, array[0]."
    known = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    raise ImageError(f"Expected an array of shape {known}, got {shape}.{hint}")


def _bytes_of(values: NDArray[Any]) -> Pixels:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if values.dtype.kind != "f":
        raise ImageError(
            f"Expected an array of uint8, bool, uint16 or float in 0..1, got {values.dtype}. "
            "If its values are 0..255, hand in array.astype(np.uint8)."
        )
    if not np.isfinite(values).all():
        raise ImageError("Expected finite values, got NaN or infinity. np.nan_to_num(array) replaces them.")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise ImageError(
            f"Expected float values in 0..1, got {low:g}..{high:g}. "
            "If they are 0..255, hand in array.astype(np.uint8), otherwise rescale them first."
        )
    return (values.astype(np.float64) * 255).round().astype(np.uint8)
