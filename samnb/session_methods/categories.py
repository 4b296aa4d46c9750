"""The methods of `samnb.session.Session` about categories, and attributes of annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..annotations.category_file import read_labels, write_labels
from ..records import FLAG, AttributeRecord, CategoryRecord
from .parts import SessionParts


class CategoryMethods(SessionParts):
    """Categories, and attributes that annotations can have besides them."""

    def categories(self) -> list[str]:
        """List all categories.

        Returns
        -------
        list of str
            In their order: see `move_category`.

        Examples
        --------
        >>> session.add_category("hole")
        >>> session.categories()
        ['coin', 'hole']
        """
        return self.catalog.categories()

    def category_records(self) -> list[CategoryRecord]:
        """List all categories with their colours.

        Returns
        -------
        list of CategoryRecord
            In their order.

        Examples
        --------
        >>> session.category_records()
        [CategoryRecord(name='coin', color='#e69f00', position=0)]
        """
        return self.catalog.category_records()

    def category_used_last(self) -> str | None:
        """Tell the category with which an annotator begins.

        Returns
        -------
        str or None
            That of the newest annotation made by hand. None: there is no such annotation.

        Examples
        --------
        >>> session.category_used_last()
        'coin'
        """
        return self.catalog.category_used_last()

    def add_category(self, name: str, *, color: str | None = None) -> None:
        """Add a category after the others; one that is there gets the colour.

        Parameters
        ----------
        name : str
            Class name; spaces around it do not count.
        color : str, optional
            "#rrggbb". Default: the next colour of a palette that colour-blind people can distinguish; a category that
            is there keeps its colour.

        Raises
        ------
        PromptError
            An empty name, or a colour of another form.

        Examples
        --------
        >>> session.add_category("hole", color="#0072b2")
        >>> [(one.name, one.color) for one in session.category_records()]
        [('coin', '#e69f00'), ('hole', '#0072b2')]
        """
        self._annotations.add_category(name, color=color)

    def recolor_category(self, name: str, color: str) -> None:
        """Show a category in another colour.

        Parameters
        ----------
        name : str
            One that is there.
        color : str
            "#rrggbb".

        Raises
        ------
        UnknownName
            There is none of that name.
        PromptError
            A colour of another form.

        Examples
        --------
        >>> session.recolor_category("coin", "#ff8800")
        >>> session.category_records()[0].color
        '#ff8800'
        """
        self._annotations.recolor_category(name, color)

    def rename_category(self, name: str, new_name: str) -> None:
        """Rename a category, in its annotations and in saved templates too.

        Parameters
        ----------
        name : str
            One that is there.
        new_name : str
            Spaces around it do not count.

        Raises
        ------
        UnknownName
            There is none of the old name.
        NameTaken
            There is one of the new name; `merge_category` joins the two.
        PromptError
            The new name is empty.

        Examples
        --------
        >>> session.rename_category("coin", "penny")
        >>> session.categories(), session.annotations()[0].category
        (['penny'], 'penny')
        """
        self._annotations.rename_category(name, new_name)

    def move_category(self, name: str, position: int) -> None:
        """Put a category in another place.

        Parameters
        ----------
        name : str
            One that is there.
        position : int
            From 0; those from there on move down. One that is too low or too high means the first or the last place.

        Raises
        ------
        UnknownName
            There is none of that name.

        Examples
        --------
        >>> session.add_category("hole")
        >>> session.move_category("hole", 0)
        >>> session.categories()
        ['hole', 'coin']
        """
        self._annotations.move_category(name, position)

    def merge_category(self, name: str, into: str) -> int:
        """Give annotations and saved templates of a category another one, and remove it.

        Parameters
        ----------
        name : str
            The category that goes.
        into : str
            The category that stays. The same as `name`: nothing changes.

        Returns
        -------
        int
            How many annotations got the other category.

        Raises
        ------
        UnknownName
            There is none of one of these names.

        Examples
        --------
        >>> session.add_category("penny")
        >>> session.merge_category("coin", "penny"), session.categories()
        (1, ['penny'])
        """
        return self._annotations.merge_category(name, into)

    def remove_category(self, name: str) -> None:
        """Remove a category that has no annotations.

        Annotations that a review rejected do not count. They are removed with it.

        Parameters
        ----------
        name : str
            One that is there.

        Raises
        ------
        UnknownName
            There is none of that name.
        WorkWouldBeLost
            There are annotations of it.

        Examples
        --------
        >>> session.add_category("hole")
        >>> session.remove_category("hole")
        >>> session.categories()
        ['coin']
        """
        self._annotations.remove_category(name)

    def save_categories(self, path: str | Path) -> Path:
        """Write categories, colours and attributes to a JSON file, for `load_categories` of another session.

        Parameters
        ----------
        path : path
            The file. Its folder is made; a file that is there is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        StoreError
            The file cannot be written.

        Examples
        --------
        >>> session.save_categories(folder / "kinds" / "coins.json").name
        'coins.json'
        """
        return write_labels(path, self.category_records(), self.attributes())

    def load_categories(self, path: str | Path) -> list[str]:
        r"""Add the categories and attributes of a file, in its order.

        Parameters
        ----------
        path : path
            A file of `save_categories`; a COCO file; or a text file with a name on each line. Categories and attributes
            that are there stay as they are; a category of the same name gets the file's colour.

        Returns
        -------
        list of str
            The names of new categories.

        Raises
        ------
        FormatError
            Something else, or a file that cannot be read. Nothing is added then.

        Examples
        --------
        >>> _ = (folder / "names.txt").write_text("coin\nhole\n")
        >>> session.load_categories(folder / "names.txt")
        ['hole']
        """
        return self._annotations.load(read_labels(path))

    def attributes(self) -> list[AttributeRecord]:
        """List the attributes that annotations can have.

        Returns
        -------
        list of AttributeRecord
            In the order they were declared.

        Examples
        --------
        >>> session.attributes()
        []
        >>> _ = session.add_attribute("occluded")
        >>> [one.name for one in session.attributes()]
        ['occluded']
        """
        return self.catalog.attributes()

    def add_attribute(self, name: str, *, kind: str = FLAG, choices: Sequence[str] = ()) -> AttributeRecord:
        """Declare an attribute; `update(annotation, attributes={name: value})` sets it.

        Parameters
        ----------
        name : str
            Spaces around it do not count.
        kind : {"flag", "choice", "text"}
            True or False; one of `choices`; any text.
        choices : sequence of str
            Of a choice. For one that is there they replace those of before; values that annotations have stay.

        Returns
        -------
        AttributeRecord
            The attribute as it is now.

        Raises
        ------
        NameTaken
            It is there with another kind.
        UnknownName
            No such kind.
        PromptError
            An empty name or choice, a choice without choices, choices of another kind.

        Examples
        --------
        >>> session.add_attribute("occluded")
        AttributeRecord(name='occluded', kind='flag', choices=(), position=0)
        >>> session.add_attribute("side", kind="choice", choices=["left", "right"]).choices
        ('left', 'right')
        >>> session.update(coin, attributes={"side": "left"}).attributes
        {'side': 'left'}
        """
        return self._annotations.add_attribute(name, kind, choices)

    def remove_attribute(self, name: str, *, discard: bool = False) -> None:
        """Remove an attribute.

        Parameters
        ----------
        name : str
            One that is there.
        discard : bool
            Also from the annotations that have it. Default: only if none has it.

        Raises
        ------
        UnknownName
            There is none of that name.
        WorkWouldBeLost
            Annotations have it, and `discard` is False.

        Examples
        --------
        >>> _ = session.add_attribute("occluded")
        >>> session.remove_attribute("occluded")
        >>> session.attributes()
        []
        """
        self._annotations.remove_attribute(name, discard=discard)
