"""The database of a session: `Catalog` and its frozen records."""

from ..records import (
    AnnotationRecord,
    CategoryRecord,
    DatasetRecord,
    ImageRecord,
    NewAnnotation,
    NewImage,
    RemovalReport,
    Verdict,
)
from .catalog import Catalog

__all__ = [
    "AnnotationRecord",
    "Catalog",
    "CategoryRecord",
    "DatasetRecord",
    "ImageRecord",
    "NewAnnotation",
    "NewImage",
    "RemovalReport",
    "Verdict",
]
