"""`Template`: categories with examples, tuned on a few images, applied to many.

A template is a frozen value that can be written as JSON. It holds the features of each example
(a prototype) and its position (relative points), never pixels, so it is small and can be shared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..atomic_files import write_atomic
from ..errors import TemplateError, UnknownName, UnknownOption
from ..json_files import read_json
from .checks import check_template
from .examples import CategoryExamples
from .parameters import DEFAULT_PARAMETERS, checked_parameters

FILE_VERSION = 1
"""Version of the files that `Template.save` writes."""

#: The strategies of templates; `samnb.templates.strategies.add_strategy` adds to them.
STRATEGY_NAMES = ["fixed", "match", "match_all", "phrase"]


@dataclass(frozen=True, eq=False)
class Template:
    """Categories with examples, a strategy and its parameters; make one with `Session.template`.

    Parameters
    ----------
    name : str
    version : int
        1 and up; the same name with other content gets the next version.
    strategy : {"match_all", "match", "fixed", "phrase"}
        Every instance found by similarity, the best one, the same relative prompt on every image, or all that a phrase
        or exemplars name.
    categories : tuple of CategoryExamples
    parameters : mapping
        See `samnb.templates.DEFAULT_PARAMETERS`.
    model : str
        Fingerprint of the model that draws the masks.
    features : str
        Name of another model whose features are compared; "": those of the model that draws.
    features_model : str
        Its fingerprint.

    Examples
    --------
    >>> template = Template("coins", "match_all", (), model="tiny:1")
    >>> template.source, template.with_parameters(min_score=0.4).parameters["min_score"]
    ('template:coins@1', 0.4)
    """

    name: str
    strategy: str
    categories: tuple[CategoryExamples, ...]
    model: str
    parameters: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_PARAMETERS))
    version: int = 1
    features: str = ""
    features_model: str = ""

    @property
    def source(self) -> str:
        """The source of annotations made by this template."""
        return f"template:{self.name}@{self.version}"

    def with_parameters(self, **parameters: float) -> Template:
        """The same template with some parameters changed.

        Parameters
        ----------
        **parameters : float
            New values by the names of `DEFAULT_PARAMETERS`; what each does, and its range, is in
            the table of `samnb.templates.DEFAULT_PARAMETERS`.

        Returns
        -------
        Template
            Not saved: `Session.save_template` keeps it as the next version.

        Raises
        ------
        UnknownOption
            No parameter of that name.
        TemplateError
            A value out of its range, or not whole where a whole number is expected.

        Examples
        --------
        >>> template = Template("coins", "match_all", (), model="tiny:1")
        >>> template.with_parameters(min_score=0.4, max_objects=10).parameters["min_score"]
        0.4
        """
        return replace(self, parameters={**self.parameters, **checked_parameters(parameters)})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the catalog; the version is kept beside it, not in it.

        Returns
        -------
        dict
            "name", "strategy", "model", "parameters" and "categories" with their examples; "features" of another model.

        Examples
        --------
        >>> Template("coins", "match_all", (), model="tiny:1").as_dict()["strategy"]
        'match_all'
        """
        return {
            "name": self.name,
            "strategy": self.strategy,
            "model": self.model,
            "parameters": dict(self.parameters),
            "categories": [category.as_dict() for category in self.categories],
            **({"features": {"name": self.features, "model": self.features_model}} if self.features else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, version: int = 1) -> Template:
        """Read what `as_dict` wrote; to read a file, which is checked, use `load`.

        Parameters
        ----------
        values : mapping
            As of `as_dict`. Parameters that are left out, as in older versions, have their defaults.
        version : int
            Of the template, from 1.

        Returns
        -------
        Template

        Raises
        ------
        KeyError, TypeError, AttributeError, ValueError
            Values that `as_dict` did not write: one is missing, or of another kind.

        Examples
        --------
        >>> template = Template("coins", "match_all", (), model="tiny:1")
        >>> Template.from_dict(template.as_dict(), version=2)
        <Template coins v2: match_all, examples: >
        """
        categories = tuple(CategoryExamples.from_dict(category) for category in values["categories"])
        # A template of an older version has fewer parameters.
        parameters = {**DEFAULT_PARAMETERS, **values["parameters"]}
        other = values.get("features") or {"name": "", "model": ""}
        return cls(
            values["name"],
            values["strategy"],
            categories,
            values["model"],
            parameters,
            version,
            features=other["name"],
            features_model=other["model"],
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as one JSON file, which `load` reads on any machine; an existing file is replaced.

        Parameters
        ----------
        path : path
            Of the file, such as "coins.json". Its folder is made if there is none.

        Returns
        -------
        Path
            The same path.

        Raises
        ------
        TemplateError
            The file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> template = Template("coins", "match_all", (), model="tiny-0")
        >>> Template.load(template.save(Path(tempfile.mkdtemp()) / "coins.json"))
        <Template coins v1: match_all, examples: >
        """
        values = {"template": FILE_VERSION, "version": self.version, **self.as_dict()}
        try:
            return write_atomic(Path(path), json.dumps(values, indent=1).encode())
        except (OSError, ValueError) as error:  # a null character in the path, too
            reason = getattr(error, "strerror", None) or error
            raise TemplateError(f"{path}: cannot be written ({reason}). Give a file in a folder of yours.") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Template:
        """Read a file written by `save`; `Session.save_template` adds it to a session.

        Parameters
        ----------
        path : path
            Of the file.

        Returns
        -------
        Template
            With its version. Parameters that the file of an older samnb lacks have their defaults.

        Raises
        ------
        TemplateError
            The file is missing, damaged, not a template, or of a newer samnb; or a value in it is out of its range.

        Examples
        --------
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "coins.json"
        >>> saved = Template("coins", "match_all", (), model="tiny:1").with_parameters(min_score=0.4).save(file)
        >>> Template.load(file).parameters["min_score"]
        0.4
        """
        expected = "Expected a file written by Template.save"
        try:
            values = read_json(Path(path))
        except OSError as error:
            raise TemplateError(f"{path}: cannot be read ({error.strerror or error}). {expected}.") from error
        except ValueError as error:
            raise TemplateError(f"{path}: damaged, or no JSON ({error}). {expected}: copy it again.") from error
        if not isinstance(values, dict) or "template" not in values:
            raise TemplateError(f"{path}: no template. {expected}.")
        if values["template"] != FILE_VERSION:
            raise TemplateError(
                f"{path}: a template of format {values['template']!r}; this samnb reads {FILE_VERSION}. Update samnb."
            )
        try:
            read = cls.from_dict(values, version=int(values["version"]))
            # The file may have been edited, so it is checked like arguments of a session.
            check_template(read)
            make_template(read.name, read.strategy, read.categories, model=read.model, parameters=read.parameters)
            return replace(read, parameters={**DEFAULT_PARAMETERS, **checked_parameters(read.parameters)})
        except (TemplateError, UnknownName, UnknownOption) as error:
            raise TemplateError(f"{path}: {error}") from error
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise TemplateError(f"{path}: not whole ({what}). {expected}: copy it again.") from error

    def __repr__(self) -> str:
        examples = ", ".join(f"{_count(c)} {c.category}" for c in self.categories)
        return f"<Template {self.name} v{self.version}: {self.strategy}, examples: {examples}>"


def _count(category: CategoryExamples) -> int:
    return len(category.examples) + sum(len(one.boxes) for one in category.exemplars)


def check_template_name(name: str) -> None:
    """Raise `TemplateError` for a name that is empty or holds an "@"."""
    # "coins@2" would read as version 2 of the template "coins".
    if not name.strip() or "@" in name:
        raise TemplateError(f"template name: expected some text without '@'; got {name!r}.")


def make_template(
    name: str,
    strategy: str,
    categories: Sequence[CategoryExamples],
    *,
    model: str,
    parameters: Mapping[str, float] | None = None,
    features: str = "",
    features_model: str = "",
) -> Template:
    """A template from examples that are made already, checked; `Session.template` makes both from annotations.

    Parameters
    ----------
    name : str
        Some text without an "@".
    strategy : {"match_all", "match", "fixed", "phrase"}
        How objects are found, see `Template`; or the name of one of your own.
    categories : sequence of CategoryExamples
        With "phrase", each needs a phrase or exemplars.
    model : str
        Fingerprint of the model that draws the masks: ``Session.model.fingerprint``.
    parameters : mapping, optional
        Those that differ from `samnb.templates.DEFAULT_PARAMETERS`.
    features, features_model : str
        Name and fingerprint of another model whose features are compared; "": those of the model that draws.

    Returns
    -------
    Template
        Version 1, not saved: `Session.save_template` adds it to a session.

    Raises
    ------
    UnknownName
        For a strategy that is not one of `STRATEGY_NAMES`.
    UnknownOption
        For an unknown parameter.
    TemplateError
        For a parameter out of its range, a name that is empty or holds an "@", or strategy "phrase" without a phrase.

    Examples
    --------
    >>> taxis = CategoryExamples("taxi", (), phrase="yellow taxi")
    >>> template = make_template("taxis", "phrase", [taxis], model="sam3:1", parameters={"min_score": 0.4})
    >>> template.source, template.parameters["min_score"]
    ('template:taxis@1', 0.4)
    """
    check_template_name(name)
    if strategy not in STRATEGY_NAMES:
        raise UnknownName("strategy", strategy, STRATEGY_NAMES)
    if strategy == "phrase" and (lacking := [one.category for one in categories if not (one.phrase or one.exemplars)]):
        raise TemplateError(
            f"strategy 'phrase': {lacking[0]!r} has neither a phrase nor exemplars. Make it by "
            'session.template(name, phrase="yellow taxi", examples=…).'
        )
    merged = {**DEFAULT_PARAMETERS, **checked_parameters(parameters or {})}
    return Template(name, strategy, tuple(categories), model, merged, features=features, features_model=features_model)
