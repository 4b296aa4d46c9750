"""What pages get from the code itself: commands, methods by subject, and a text for each picture of a notebook."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

import samnb


class Commands(SphinxDirective):
    """Every command of the command line, with its usage and its options, from argparse."""

    def run(self) -> list[nodes.Node]:
        """Sections, one for each command."""
        from samnb.cli import _parser

        return list(map(self._section, commands(_parser())))

    def _section(self, command: tuple[argparse.ArgumentParser, str]) -> nodes.section:
        parser, summary = command
        section = nodes.section(ids=[nodes.make_id(parser.prog)])
        section += nodes.title(text=parser.prog)
        section += nodes.paragraph(text=sentence(parser.description or summary))
        section += nodes.literal_block(text=usage(parser), language="text")
        rows = [(invocation(action), action.help or "") for action in parser._actions if shown(action)]
        if rows:
            section += _definitions(rows)
        self.state.document.note_implicit_target(section)
        return section


class TemplateParameters(SphinxDirective):
    """A table of every parameter of a template: default, range, what it does, and its slider in the tuner."""

    def run(self) -> list[nodes.Node]:
        """One table, in the order of the sliders."""
        from samnb.templates.parameters import PARAMETERS

        head = "name", "default", "range", "what it does", "in the tuner"
        listed = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
        listed += nodes.thead("", _row([nodes.Text(text) for text in head]))
        body = nodes.tbody()
        for one in sorted(PARAMETERS, key=lambda parameter: parameter.place):
            limits = f"{number(one.min)} to {number(one.max)}" + (", whole" if one.integer else "")
            texts = map(nodes.Text, (number(one.default), limits, one.help, one.label))
            body += _row([nodes.literal(text=one.name), *texts])
        listed += body
        return [nodes.table("", listed)]


class SessionMethods(SphinxDirective):
    """Every method of `samnb.Session`, by subject: a section for each class that it inherits from."""

    def run(self) -> list[nodes.Node]:
        """Sections, in the order of the classes; what `samnb.Session` itself defines comes last."""
        bases = samnb.Session.__bases__
        inherited = {name for base in bases for name in vars(base)}
        own = [name for name in public_members(samnb.Session) if name not in inherited]
        sections = [self._section(_subject(base), public_members(base), base.__doc__) for base in bases]
        return [*sections, self._section("The session", ["name", *own], "What it holds, and its end.")]

    def _section(self, title: str, names: Iterable[str], about: str | None) -> nodes.section:
        section = nodes.section(ids=[nodes.make_id(title)])
        section += nodes.title(text=title)
        section += nodes.paragraph(text=about)
        for name in names:
            kind = "autoproperty" if isinstance(getattr(samnb.Session, name), property) else "automethod"
            self.state.nested_parse(StringList([f".. {kind}:: samnb.Session.{name}", ""], __file__), 0, section)
        self.state.document.note_implicit_target(section)
        return section


def type_names(pages: Iterable[Path]) -> dict[str, str]:
    """The classes that the pages document, by the name that the type of a parameter or a result has in docstrings."""
    names: dict[str, str] = {}
    for page in pages:
        for block in page.read_text(encoding="utf-8").split(".. ")[1:]:
            kind, _, full = block.splitlines()[0].partition(":: ")
            if kind == "autoclass":
                names[full.rpartition(".")[2]] = full
            elif kind == "automodule" and ":members:" in block:
                module = import_module(full)
                hidden = re.findall(r"\w+", block.partition(":exclude-members:")[2].partition("\n")[0])
                own = (name for name in module.__all__ if isinstance(getattr(module, name), type))
                names = {name: f"{full}.{name}" for name in own if name not in hidden} | names
    return names


def public_members(cls: type) -> list[str]:
    """The names of methods and properties that a class defines itself, in the order of its file."""
    kinds = property, FunctionType
    return [name for name, one in vars(cls).items() if isinstance(one, kinds) and not name.startswith("_")]


def _subject(cls: type) -> str:
    name = cls.__module__.rpartition(".")[2].replace("_", " ")
    return name[:1].upper() + name[1:]


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Every parser that runs something, and its help, in the order of the help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, child in action.choices.items():
                inner = list(commands(child))
                yield from inner or [(child, helps.get(name, ""))]


def usage(parser: argparse.ArgumentParser) -> str:
    """The usage on lines of at most 96 characters, whatever the terminal of the build."""
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=96)
    return parser.format_usage().removeprefix("usage: ").rstrip()


def invocation(action: argparse.Action) -> str:
    """How an argument is written, such as ``--to SIZE``."""
    metavar = action.metavar or action.dest.upper()
    value = " ".join(metavar) if isinstance(metavar, tuple) else metavar
    if not action.option_strings:
        return value if action.metavar else action.dest
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {value}"


def shown(action: argparse.Action) -> bool:
    """Whether the reference lists an argument: not the help, not what is hidden."""
    return action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)


def number(value: float) -> str:
    """A number as a person writes it: ``0.25``, ``10,000``."""
    return f"{value:,.10g}"


def sentence(text: str) -> str:
    """A help text as a sentence."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "…")) else ".")


def _row(cells: Iterable[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def _definitions(rows: list[tuple[str, str]]) -> nodes.definition_list:
    listed = nodes.definition_list()
    for name, text in rows:
        term = nodes.term("", "", nodes.literal(text=name))
        listed += nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph(text=text or "Required.")))
    return listed


def describe_outputs(app: Any, doctree: nodes.document) -> None:
    """Pictures that a cell put out get the heading above them as their text, for those who cannot see them."""
    for image in doctree.findall(nodes.image):
        section: nodes.Node | None = image
        while section is not None and not isinstance(section, nodes.section):
            section = section.parent
        if "alt" not in image and section is not None:
            image["alt"] = f"Output of a cell in: {section[0].astext()}"


def link_pages(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Pages that a docstring names, as "docs/exchange.md", are linked."""
    lines[:] = [re.sub(r"\bdocs/([\w-]+)\.md\b", r":doc:`/docs/\1`", line) for line in lines]


def setup(app: Any) -> dict[str, Any]:
    """Register them with Sphinx."""
    app.add_directive("samnb-session-methods", SessionMethods)
    app.add_directive("samnb-commands", Commands)
    app.add_directive("samnb-template-parameters", TemplateParameters)
    app.connect("autodoc-process-docstring", link_pages)
    app.connect("doctree-read", describe_outputs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
