"""Masks as (H, W) bool arrays: codes, geometry, polygons, drawing, editing, simulated clicks. NumPy and OpenCV only."""

from .geometry import (
    CATEGORY_COLORS,
    Polygon,
    category_color,
    clean_mask,
    contact_sheet,
    decode_rle,
    encode_rle,
    mask_area,
    mask_bbox,
    mask_iou,
    mask_polygons,
    overlay,
)

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
