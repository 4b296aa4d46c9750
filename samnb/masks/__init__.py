"""Masks as (H, W) bool arrays: run lengths, geometry, polygons, drawing, editing, simulated clicks.

NumPy, OpenCV and Pillow only.
"""

from .drawing import CATEGORY_COLORS, category_color, contact_sheet, overlay
from .geometry import clean_mask, mask_area, mask_bbox, mask_iou
from .polygons import Polygon, mask_polygons
from .rle import decode_rle, encode_rle

__all__ = [
    "CATEGORY_COLORS",
    "Polygon",
    "category_color",
    "clean_mask",
    "contact_sheet",
    "decode_rle",
    "encode_rle",
    "mask_area",
    "mask_bbox",
    "mask_iou",
    "mask_polygons",
    "overlay",
]
