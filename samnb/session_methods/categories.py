"""The methods of `samnb.session.Session` about categories, and attributes of annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..annotations.category_file import read_labels, write_labels
from ..records import FLAG, AttributeRecord, CategoryRecord
from .parts import SessionParts

if TYPE_CHECKING:
    pass


class CategoryMethods(SessionParts):
    """Categories, and attributes that annotations can have besides them."""

    def categories(self) -> list[str]:
        """All categories, in their order."""
        return self.catalog.categories()

    def category_records(self) -> list[CategoryRecord]:
        """All categories with their colours, in their order."""
        return self.catalog.category_records()

    def category_used_last(self) -> str | None:
        """The category of the newest annotation made by hand, with which an annotator begins. None: there is none."""
        return self.catalog.category_used_last()

    def add_category(self, name: str, *, color: str | None = None) -> None:
        """Add a category, with a colour ("#rrggbb") or the next of the colour-blind-safe ones."""
        self._annotations.add_category(name, color=color)

    def recolor_category(self, name: str, color: str) -> None:
        """Show a category in another colour, "#rrggbb"."""
        self._annotations.recolor_category(name, color)

    def rename_category(self, name: str, new_name: str) -> None:
        """Rename a category, in its annotations and in saved templates too.

        Raises
        ------
        UnknownName, NameTaken
            There is none of that name, or one of the new name.
        """
        self._annotations.rename_category(name, new_name)

    def move_category(self, name: str, position: int) -> None:
        """Put a category in another place, from 0; those from there on move down. Raises `UnknownName`."""
        self._annotations.move_category(name, position)

    def merge_category(self, name: str, into: str) -> int:
        """Give annotations and saved templates of a category another one, and remove it; returns how many annotations.

        Raises
        ------
        UnknownName
            There is none of one of these names.
        """
        return self._annotations.merge_category(name, into)

    def remove_category(self, name: str) -> None:
        """Remove a category.

        Raises
        ------
        WorkWouldBeLost
            There are annotations of it.
        """
        self._annotations.remove_category(name)

    def save_categories(self, path: str | Path) -> Path:
        """Write categories, colours and attributes to a JSON file, for `load_categories` of another session."""
        return write_labels(path, self.category_records(), self.attributes())

    def load_categories(self, path: str | Path) -> list[str]:
        """Add the categories and attributes of a file, in its order; returns the names of new categories.

        Parameters
        ----------
        path : path
            A file of `save_categories`; a COCO file; or a text file with a name on each line. Categories and attributes
            that are there stay as they are; a category of the same name gets the file's colour.

        Raises
        ------
        FormatError
            Something else.
        """
        return self._annotations.load(read_labels(path))

    def attributes(self) -> list[AttributeRecord]:
        """The attributes that annotations can have, in their order."""
        return self.catalog.attributes()

    def add_attribute(self, name: str, *, kind: str = FLAG, choices: Sequence[str] = ()) -> AttributeRecord:
        """Declare an attribute; `update(annotation, attributes={name: value})` sets it.

        Parameters
        ----------
        kind : {"flag", "choice", "text"}
            True or False; one of `choices`; any text.
        choices : sequence of str
            Of a choice. For one that is there they replace those of before; values that annotations have stay.

        Raises
        ------
        NameTaken
            It is there with another kind.

        Examples
        --------
        >>> import tempfile, samnb
        >>> session = samnb.Session(tempfile.mkdtemp())
        >>> session.add_attribute("occluded")
        AttributeRecord(name='occluded', kind='flag', choices=(), position=0)
        >>> session.add_attribute("side", kind="choice", choices=["left", "right"]).choices
        ('left', 'right')
        >>> session.close()
        """
        return self._annotations.add_attribute(name, kind, choices)

    def remove_attribute(self, name: str, *, discard: bool = False) -> None:
        """Remove an attribute.

        Raises
        ------
        UnknownName
            There is none of that name.
        WorkWouldBeLost
            Annotations have it, and `discard` is False.
        """
        self._annotations.remove_attribute(name, discard=discard)
