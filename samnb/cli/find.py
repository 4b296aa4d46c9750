"""`samnb find`: proposals in a terminal, by a phrase, by examples, like an annotation, or everything."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..cards import count_text
from ..errors import UnknownName
from .inspect import OpenSession
from .terminal import finished, option, say

if TYPE_CHECKING:
    from ..proposals import Query
    from ..session import Session


def add_find_command(commands: Any, open_session: OpenSession) -> argparse.ArgumentParser:
    """Add it to the sub-commands of a parser, without the arguments that name a session."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "find",
        help="find objects by a phrase, by examples, or all of them",
        description="Finds objects on all images of a session and keeps them as proposals. A phrase and --example need "
        "a model that knows words, such as sam3. A second call goes on where the first one was stopped.",
    )
    parser.add_argument("--everything", action="store_true", help="all objects, by a grid of clicks")
    parser.add_argument("--like", type=int, metavar="ID", help="objects like this annotation")
    parser.add_argument(
        "--example", nargs=5, action="append", metavar=("IMAGE", "X0", "Y0", "X1", "Y1"),
        help="a box around an example, in pixels of its image; as often as wanted",
    )  # fmt: skip
    parser.add_argument("--accept", metavar="CATEGORY", help="save what is found as annotations of this category")
    parser.add_argument(
        "--export", nargs=2, metavar=("FORMAT", "PATH"), help="also write these proposals, as category 'proposal'"
    )
    parser.add_argument(
        "--set", dest="options", metavar="NAME=VALUE", type=option, action="append", default=[],
        help="a parameter of the search, such as min_score=0.5",
    )  # fmt: skip
    parser.set_defaults(run=lambda arguments: _find(arguments, open_session), wrong_usage=parser.error)
    return parser


def _find(arguments: argparse.Namespace, open_session: OpenSession) -> int:
    by_words = arguments.phrase is not None or arguments.example is not None
    if by_words + arguments.everything + (arguments.like is not None) != 1:
        arguments.wrong_usage("expected one of: PHRASE and --example, --everything, --like ID")
    with open_session(arguments) as session:
        query = _query(session, arguments)
        job = session.propose(query, arguments.dataset)
        last = finished(job)
        found = session.proposals(arguments.dataset, query=query)
        for image, count in Counter(one.image for one in found).items():
            say(f"{image}: {count}")
        say(last["report"])
        if last.get("cancelled"):
            say("Stopped: nothing was saved or written of it. The same command goes on from there.", error=True)
            return 130
        if arguments.export:
            kind, path = arguments.export
            say(session.export(kind, path, dataset=arguments.dataset, proposals=found))
        if arguments.accept:
            saved = session.accept_proposals(found, category=arguments.accept)
            say(f"{count_text(len(saved), 'annotation')} saved")
        return 1 if last["failed"] else 0


def _query(session: Session, arguments: argparse.Namespace) -> Query:
    options = dict(arguments.options)
    if arguments.everything:
        return session.everything(**options)
    if arguments.like is not None:
        annotations = {one.id: one for one in session.annotations()}
        if arguments.like not in annotations:
            raise UnknownName("annotation", str(arguments.like), [str(number) for number in annotations])
        return session.like(annotations[arguments.like], **options)
    examples: dict[Any, list[tuple[float, ...]]] = {}
    for image, *box in arguments.example or ():
        examples.setdefault(image, []).append(tuple(_number(arguments, value) for value in box))
    return session.phrase(arguments.phrase, examples=examples or None, **options)


def _number(arguments: argparse.Namespace, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        arguments.wrong_usage(f"--example: expected IMAGE X0 Y0 X1 Y1 with numbers; got {text!r}")
        raise
