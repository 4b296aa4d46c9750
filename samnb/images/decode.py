"""`decode`: from the bytes of a picture file to an upright RGB picture, and what 8 bits do not hold of its values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from PIL import Image

from ..errors import AnyPath, ImageError, ImageUnreadable, ReaderMissing
from . import depth
from .frames import count_frames
from .hashing import hash_of_upright, pixel_hash
from .lazy.kinds import kind_of_bytes
from .lazy.opening import open_source
from .lazy.view import View
from .lazy.view_files import ViewFile, pixels_and_hash, shown_and_hash, view_in
from .opening import check_size, open_picture
from .tiff_check import is_doubtful, is_right
from .upright import as_rgb, orientation_of, turned


@dataclass(frozen=True, eq=False)
class Decoded:
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
        """The pixel hash of `samnb.images.Picture`."""
        return self.deeper or hash_of_upright(self.image)

    def known_as(self, expected_hash: str) -> Image.Image | None:
        """The picture as it was when its pixel hash was that; None if it never was."""
        if self.pixel_hash == expected_hash or (self.content and depth.hash_of_file(self.content) == expected_hash):
            return self.image
        seen = (self.image, self.earlier) if self.deeper else (self.earlier,)
        return next((one for one in seen if one is not None and hash_of_upright(one) == expected_hash), None)


def decode(content: bytes, path: AnyPath) -> Decoded:
    """The picture in the bytes of a file. Raises `ImageError`.

    Parameters
    ----------
    content : bytes
    path : path or address
        Where the file is, or its name in messages.
    """
    view = view_in(content, path)
    if view is not None:
        pixels, values_hash = shown_and_hash(view, path)
        return Decoded(Image.fromarray(pixels), values_hash, shown_as=str(view.mapping), view=view)
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


def _decode_lazily(content: bytes, path: AnyPath) -> Decoded:
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
        return Decoded(Image.fromarray(pixels), values_hash, frames=about.slices, shown_as=shown_as)


def _decode_by_pillow(content: bytes, path: AnyPath) -> Decoded:
    with open_picture(content, path) as image:
        if image.format == "TIFF":
            depth.check_tiff(image, path)
        deep, orientation = depth.deep_colour(content, image), orientation_of(image)
        frames, doubtful = count_frames(content, image), is_doubtful(image)
        decoded = decoded_image(image, path, frames=frames)
        if doubtful and not is_right(content, image, orientation, path):
            return _decode_lazily(content, path)
        return _deeper(content, image, decoded, orientation) if deep else decoded


def _deeper(content: bytes, image: Image.Image, decoded: Decoded, orientation: int) -> Decoded:
    """A loaded picture of `depth.deep_colour`, with the hash of its values and, of 12 bits, their brightness."""
    upright = turned(image, image)
    upright.format = image.format
    values = depth.colour_values(content, upright, orientation)
    if values is None:
        return replace(decoded, deeper=depth.hash_of_file(content))
    decoded = replace(decoded, deeper=depth.hash_of_colour(values), content=content)
    brighter = depth.low_colour(values)
    if brighter is None:
        return decoded
    return replace(decoded, image=as_rgb(Image.fromarray(brighter)), earlier=decoded.image)


def decoded_image(image: Image.Image, path: AnyPath, *, frames: int = 1) -> Decoded:
    """An open picture in RGB, upright, and the hash of what 8 bits do not hold. Raises `ImageError`."""
    try:
        image.load()
        if not depth.is_deep_grey(image):
            signed = depth.signed_grey(image)
            earlier = None if signed is None else turned(as_rgb(image), image)
            return Decoded(turned(as_rgb(signed or image), image), "", earlier, frames)
        (shown, (low, high)), before = depth.grey_of(image, path), depth.earlier_grey(image)
        deeper = depth.hash_of_values(image, shown, orientation_of(image))
        if before is not None and (before == shown).all():
            before = None
        rgb, earlier = (
            None if grey is None else turned(Image.fromarray(grey).convert("RGB"), image) for grey in (shown, before)
        )
        assert rgb is not None
        return Decoded(rgb, deeper, earlier, frames, shown_as=f"{low:.6g}..{high:.6g}" if deeper else "")
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        raise ImageUnreadable(path, f"truncated or damaged ({error or type(error).__name__})") from error
