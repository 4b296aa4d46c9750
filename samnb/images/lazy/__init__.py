"""Scientific pictures read lazily: TIFF, OME-TIFF, OME-Zarr, DICOM and HEIC, by the packages made for them."""

from .description import Channel, Level, PixelSize, SourceDescription, StackAxis
from .opening import is_lazy, open_source
from .source import PictureSource, Region

__all__ = [
    "Channel",
    "Level",
    "PictureSource",
    "PixelSize",
    "Region",
    "SourceDescription",
    "StackAxis",
    "is_lazy",
    "open_source",
]
