"""`samnb status`, `samnb duplicates` and `samnb hash`: inspect a session, and files, in a terminal."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ImageError
from ..printable import printable
from .terminal import say

if TYPE_CHECKING:
    from ..records import ImageRecord
    from ..session import Session


OpenSession = Callable[[argparse.Namespace], "Session"]


def add_inspect_commands(commands: Any, open_session: OpenSession) -> tuple[argparse.ArgumentParser, ...]:
    """Add the three to the sub-commands of a parser; returns those that work on a session."""
    status = commands.add_parser("status", help="a session at a glance")
    duplicates = commands.add_parser(
        "duplicates",
        help="pictures that are there several times, or look alike",
        description="Groups of images with the same pixels; with --near, of images that look alike.",
    )
    duplicates.add_argument("--near", action="store_true", help="those that look alike and have other pixels")
    duplicates.add_argument(
        "--threshold", type=int, metavar="N", help="with --near: bits of 256 that may differ (default: 51)"
    )
    duplicates.add_argument("--dataset", help="only within this one")
    hashes = commands.add_parser(
        "hash",
        help="the three hashes of picture files",
        description="Of the bytes of the file, of its pixels, and of what it looks like.",
    )
    hashes.add_argument("files", nargs="+", type=Path, metavar="FILE")
    for command in (status, duplicates, hashes):
        command.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=lambda arguments: _status(arguments, open_session))
    duplicates.set_defaults(run=lambda arguments: _duplicates(arguments, open_session), wrong_usage=duplicates.error)
    hashes.set_defaults(run=_hash)
    return status, duplicates


def _status(arguments: argparse.Namespace, open_session: OpenSession) -> None:
    with open_session(arguments) as session:
        status = session.status()
    say(_json(status.as_dict()) if arguments.json else status)


def _duplicates(arguments: argparse.Namespace, open_session: OpenSession) -> None:
    from ..duplicates.near import THRESHOLD

    if arguments.threshold is not None and not (arguments.near and 0 <= arguments.threshold <= 255):
        arguments.wrong_usage("expected --threshold N, 0 to 255 bits of 256, together with --near")
    with open_session(arguments) as session:
        if not arguments.near:
            same = session.duplicates(arguments.dataset)
            say(_json([[_image(image) for image in group] for group in same]) if arguments.json else same)
            return
        threshold = THRESHOLD if arguments.threshold is None else arguments.threshold
        near = session.near_duplicates(threshold, dataset=arguments.dataset)
    if not arguments.json:
        say(near)
        return
    groups = [
        {
            "representative": _image(group.representative),
            "others": [
                {**_image(other.image), "distance": other.distance, "same": other.same} for other in group.others
            ],
        }
        for group in near
    ]
    names = ("threshold", "compared", "flat", "unhashed", "exact")
    say(_json({"groups": groups, **{name: getattr(near, name) for name in names}}))


def _hash(arguments: argparse.Namespace) -> int:
    from ..images import read_picture
    from ..images.perceptual import MIN_DETAIL

    results: list[dict[str, Any]] = []
    failed = 0
    for file in arguments.files:
        try:
            picture = read_picture(file)
        except ImageError as error:
            failed += 1
            say(f"samnb: {error}", error=True)
            continue
        names = ("content_hash", "pixel_hash", "perceptual_hash")
        result = {"path": str(file), **{name: getattr(picture, name) for name in names}}
        result["flat"] = picture.perceptual_detail < MIN_DETAIL
        results.append(result)
        if not arguments.json:
            say("\n".join(_lines(result)))
    if arguments.json:
        say(_json(results))
    return 1 if failed else 0


def _lines(result: dict[str, Any]) -> Iterable[str]:
    yield printable(result["path"])
    yield f"  content     {result['content_hash']}"
    yield f"  pixels      {result['pixel_hash']}"
    yield f"  perceptual  {result['perceptual_hash']}" + ("  (too flat to compare)" if result["flat"] else "")


def _image(image: ImageRecord) -> dict[str, Any]:
    values = asdict(image)
    names = ("id", "dataset", "filename", "path", "width", "height", "size_bytes", "content_hash", "pixel_hash")
    return {name: values[name] for name in names}


def _json(values: Any) -> str:
    return json.dumps(values, indent=1, allow_nan=False)
