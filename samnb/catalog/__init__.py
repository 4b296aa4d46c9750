"""The database of a session: tables, migrations, queries by subject. It hands out frozen records."""

from .catalog import (
    AnnotationRecord,
    Catalog,
    CategoryRecord,
    DatasetRecord,
    ImageRecord,
    NewAnnotation,
    NewImage,
    Removed,
    Verdict,
)

__all__ = [
    "AnnotationRecord",
    "Catalog",
    "CategoryRecord",
    "DatasetRecord",
    "ImageRecord",
    "NewAnnotation",
    "NewImage",
    "Removed",
    "Verdict",
]
