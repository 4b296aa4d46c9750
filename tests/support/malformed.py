"""Damaged picture files, made from real ones of every format; the same for the same number."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, features

__all__ = ["DAMAGES", "damaged", "real_files"]


@cache
def real_files() -> dict[str, bytes]:
    """Small whole files by name: every format that is read, with what makes them long-winded."""
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((96, 64), Image.Resampling.BICUBIC)
    frames = [photo.rotate(angle) for angle in (5, 90, 180)]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8298] = 6, "a camera", "© somebody"
    exif.get_ifd(0x8769)[0x9286] = b"a comment" * 20
    wide = Image.fromarray(rng.integers(0, 65536, (64, 96), dtype=np.uint16))
    several = {"save_all": True, "append_images": frames}
    files = {
        "png": save(photo, "PNG"),
        "palette.png": save(photo.convert("P"), "PNG", transparency=3),
        "16bit.png": save(wide, "PNG"),
        "exif.png": save(photo, "PNG", exif=exif),
        "animated.png": save(photo, "PNG", **several),
        "jpg": save(photo, "JPEG"),
        "progressive.jpg": save(photo, "JPEG", progressive=True),
        "exif.jpg": save(photo, "JPEG", exif=exif, dpi=(72, 72), comment=b"hello"),
        "cmyk.jpg": save(photo.convert("CMYK"), "JPEG"),
        "several.jpg": save(photo, "MPO", **several),
        "tif": save(photo, "TIFF"),
        "lzw.tif": save(photo, "TIFF", compression="tiff_lzw"),
        "deflate.tif": save(photo, "TIFF", compression="tiff_adobe_deflate"),
        "fax.tif": save(photo.convert("1"), "TIFF", compression="group4"),
        "jpeg.tif": save(photo, "TIFF", compression="jpeg"),
        "float.tif": save(photo.convert("F"), "TIFF"),
        "pages.tif": save(photo, "TIFF", **several),
        "exif.tif": save(photo, "TIFF", exif=exif),
        "bmp": save(photo, "BMP"),
        "palette.bmp": save(photo.convert("P"), "BMP"),
        "dib": save(photo, "DIB"),
        "gif": save(photo, "GIF"),
        "animated.gif": save(photo, "GIF", **several),
        "webp": save(photo, "WEBP"),
        "lossless.webp": save(photo, "WEBP", lossless=True),
        "animated.webp": save(photo, "WEBP", **several),
        "jp2": save(photo, "JPEG2000"),
        "j2k": save(photo, "JPEG2000", no_jp2=True),
        "ppm": save(photo, "PPM"),
        "pgm": save(photo.convert("L"), "PPM"),
        "pbm": save(photo.convert("1"), "PPM"),
        "plain.ppm": b"P3\n4 2\n255\n" + b" ".join(b"%d" % value for value in range(24)),
        "qoi": save(photo, "QOI"),
    }
    if features.check("avif"):
        files["avif"] = save(photo, "AVIF")
    return files


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    # Copies: Pillow leaves in an image how it was saved last.
    others = {name: [frame.copy() for frame in frames] for name, frames in options.items() if name == "append_images"}
    buffer = io.BytesIO()
    image.copy().save(buffer, format, **{**options, **others})
    return buffer.getvalue()


def damaged(number: int) -> tuple[str, bytes]:
    """File name and content of one damaged file; going through the numbers goes through damages and formats."""
    chance = random.Random(number)
    names = list(real_files())
    name = names[number % len(names)]
    damage = list(DAMAGES)[(number // len(names)) % len(DAMAGES)]
    return f"{number:03}-{damage}.{name}", DAMAGES[damage](real_files()[name], chance)


# -- the damages ---------------------------------------------------------------------------------------


def _truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def _flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randrange(1, 20)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _zeroed(content: bytes, chance: random.Random) -> bytes:
    at, length = chance.randrange(len(content)), chance.randrange(1, 600)
    return content[:at] + bytes(min(length, len(content) - at)) + content[at + length :]


def _swapped_header(content: bytes, chance: random.Random) -> bytes:
    other = chance.choice(list(real_files().values()))
    at = chance.randrange(4, 40)
    return other[:at] + content[at:]


def _wrong_sizes(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        width = chance.choice([1, 2, 4])
        at = chance.randrange(min(len(changed) - width, 120))
        changed[at : at + width] = chance.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4), b"\0\0\x80\0"])[:width]
    return bytes(changed)


def _huge(content: bytes, chance: random.Random) -> bytes:
    """A header that promises far more pixels than there are, some of them fewer than the limit."""
    side = chance.choice([2_000, 3_000, 65_000, 2**31 - 1])
    changed = bytearray(content)
    short = min(side, 65_000)
    if content.startswith(b"\x89PNG"):
        changed[16:24] = struct.pack(">LL", side, side)
        changed[29:33] = struct.pack(">L", zlib.crc32(changed[12:29]))
    elif content.startswith(b"GIF"):
        changed[6:10] = struct.pack("<HH", short, short)
        at = content.find(b",", 13)
        changed[at + 5 : at + 9] = struct.pack("<HH", short, short)
    elif content.startswith(b"BM"):
        changed[18:26] = struct.pack("<ll", side, side)
    elif content.startswith(b"qoif"):
        changed[4:12] = struct.pack(">LL", side, side)
    elif content.startswith(b"\xff\xd8"):
        at = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
        changed[at + 5 : at + 9] = struct.pack(">HH", short, short)
    elif content.startswith((b"P3", b"P4", b"P5", b"P6")):
        kind, rest = content.split(b"\n", 1)
        changed = bytearray(kind + b"\n%d %d\n" % (side, side) + rest.split(b"\n", 1)[1])
    elif content.startswith((b"II*\0", b"MM\0*")):
        for tag in (256, 257):
            at = content.find(struct.pack("<HH", tag, 4))
            at = at if at >= 0 else content.find(struct.pack("<HH", tag, 3))
            changed[at + 2 : at + 12] = struct.pack("<HLL", 4, 1, side)
    else:  # somewhere a box or a chunk says how large it is: every pair of the real sizes is replaced
        for old, new in ((struct.pack(">LL", 96, 64), struct.pack(">LL", side, side)), (b"\x5f\0\0", b"\xff\xff\0")):
            changed = changed.replace(old, new)
    return bytes(changed)


def _garbage(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.choice([0, 4, 12, 40])] + chance.randbytes(chance.randrange(1, 5000))


def _empty_or_text(content: bytes, chance: random.Random) -> bytes:
    return chance.choice([b"", b"<html>404 not found</html>", b"\0" * 500, "täxt".encode() * 90, b"P", b"\xff\xd8\xff"])


def _damaged_metadata(content: bytes, chance: random.Random) -> bytes:
    """EXIF and the like rewritten, the picture behind left alone where that is how the format is built."""
    changed = bytearray(content)
    at = max(content.find(b"Exif"), content.find(b"eXIf"), content.find(b"II*\0"), content.find(b"MM\0*"), 0)
    for _ in range(chance.randrange(1, 40)):
        changed[min(at + chance.randrange(4, 300), len(changed) - 1)] = chance.choice([0, 255, chance.randrange(256)])
    return bytes(changed)


def _damaged_end(content: bytes, chance: random.Random) -> bytes:
    """Where later frames and pages of animations lie, and where TIFF keeps its lists."""
    changed = bytearray(content)
    for _ in range(chance.randrange(1, 60)):
        changed[chance.randrange(len(changed) * 2 // 3, len(changed))] = chance.choice([0, 255, chance.randrange(256)])
    return bytes(changed)


def _repeated(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + content[at : at + chance.randrange(1, 200)] * chance.randrange(2, 50) + content[at:]


Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: dict[str, Damage] = {
    "truncated": _truncated,
    "flipped": _flipped,
    "zeroed": _zeroed,
    "swapped": _swapped_header,
    "sizes": _wrong_sizes,
    "huge": _huge,
    "garbage": _garbage,
    "text": _empty_or_text,
    "metadata": _damaged_metadata,
    "end": _damaged_end,
    "repeated": _repeated,
}
