"""`samnb replay`: the masks of a recipe, made again from pictures in a folder."""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ..errors import UnknownName
from .terminal import say


def add_replay_command(commands: Any) -> None:
    """Add it to the sub-commands of a parser."""
    replay = commands.add_parser(
        "replay",
        help="make a recipe's masks again, and say where they differ",
        description="A recipe is what session.export('recipe', …) and samnb export write. Pictures are found by their "
        "pixels, whatever their names. Ends with 1 where a picture is missing or altered, or a mask is another one.",
    )
    replay.add_argument("recipe", type=Path, help="the recipe file")
    replay.add_argument("--images", type=Path, required=True, metavar="DIR", help="where the pictures are")
    replay.add_argument("--session", type=Path, metavar="DIR", help="keep the masks in this session folder")
    replay.add_argument("--checkpoint", type=Path, help="weight file of the recipe's model")
    replay.add_argument("--model", help="with --any-model: replay with this one")
    replay.add_argument("--device", default="auto")
    replay.add_argument("--any-model", action="store_true", help="also with another model; masks will differ")
    replay.add_argument("--json", action="store_true", help="print JSON")
    replay.set_defaults(run=_replay)


def _replay(arguments: argparse.Namespace) -> int:
    # Late, so that `samnb --help` answers at once.
    from ..models import available_models
    from ..replay.recipe import Recipe
    from ..session import Session

    recipe = Recipe.read(arguments.recipe)
    name = arguments.model or recipe.model["name"]
    known = [info.name for info in available_models()]
    if name not in known:
        raise UnknownName("model", name, known)
    # As it was stored: float16 and float32 give masks that differ by pixels.
    stored = recipe.model["recipe"].rpartition("store=")[2] or "float16"
    place: Any = nullcontext(arguments.session) if arguments.session else tempfile.TemporaryDirectory()
    with place as folder:
        options: Any = {"model": name, "checkpoint": arguments.checkpoint, "device": arguments.device}
        cache = {} if arguments.session and (arguments.session / "catalog.db").exists() else {"dtype": stored}
        with Session(folder, cache=cache, **options) as session:
            report = session.replay(recipe, arguments.images, any_model=arguments.any_model)
    say(json.dumps(report.as_dict(), indent=1) if arguments.json else report)
    if not report.ok and not arguments.json:
        say("samnb: not all is as it was, see above", error=True)
    return 0 if report.ok else 1
