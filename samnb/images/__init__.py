"""Pictures: files and arrays to pixels, their names and their hashes."""

from .discovery import IMAGE_SUFFIXES, find_images
from .files import MAX_FILE_BYTES
from .hashing import DECODER_VERSION, content_hash, hash_of_upright, pixel_hash
from .opening import MAX_PIXELS, open_picture
from .perceptual import perceptual_hash
from .reading import Picture, as_pixels, pixel_hashes, read_known, read_picture, read_pixels, read_upright, suffix_for
from .thumbnails import encode_png, thumbnail

__all__ = [
    "DECODER_VERSION",
    "IMAGE_SUFFIXES",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "Picture",
    "as_pixels",
    "content_hash",
    "encode_png",
    "find_images",
    "hash_of_upright",
    "open_picture",
    "perceptual_hash",
    "pixel_hash",
    "pixel_hashes",
    "read_known",
    "read_picture",
    "read_pixels",
    "read_upright",
    "suffix_for",
    "thumbnail",
]
