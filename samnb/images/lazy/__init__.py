"""Scientific pictures read lazily: TIFF, OME-TIFF, OME-Zarr, DICOM and HEIC, by the packages made for them."""

from .description import Channel, Level, PixelSize, SourceDescription, StackAxis
from .mapping import PixelMapping, ShownChannel
from .opening import is_lazy, open_source
from .source import PictureSource, Region
from .view import View

__all__ = [
    "Channel",
    "Level",
    "PictureSource",
    "PixelMapping",
    "PixelSize",
    "Region",
    "ShownChannel",
    "SourceDescription",
    "StackAxis",
    "View",
    "is_lazy",
    "open_source",
]
