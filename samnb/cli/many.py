"""`samnb prewarm`, `apply`, `review` and `sync`: many images in a terminal, in an array job, or on a cluster."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..cards import count_text
from ..jobs import summary_text
from ..printable import printable
from ..records import ACCEPTED, REJECTED, UNSURE
from ..workers import Shard
from .inspect import OpenSession
from .terminal import finished, say

if TYPE_CHECKING:
    from ..jobs import Event, Job
    from ..session import Session

_STATUS = (
    "exit status: 0 when all images are done, 1 when some failed, 130 after Ctrl-C or SIGTERM: what was finished is "
    "kept, and the same command does the rest."
)


def add_many_commands(commands: Any, open_session: OpenSession) -> tuple[argparse.ArgumentParser, ...]:
    """Add them to the sub-commands of a parser, without the arguments that name a session; apply's TEMPLATE is last."""
    prewarm = commands.add_parser("prewarm", help="encode what is not cached yet", epilog=_STATUS)
    apply = commands.add_parser("apply", help="find a template's objects on all images", epilog=_STATUS)
    review = commands.add_parser("review", help="how many finds of templates wait for a review, by category")
    add_many_options(prewarm)
    add_apply_options(apply)
    review.add_argument("--template", metavar="NAME", help="only those of this one")
    review.add_argument("--json", action="store_true", help="print JSON")
    sync = commands.add_parser("sync", help="read the listing of the store into the catalog, after others have encoded")
    sync.set_defaults(run=lambda arguments: _sync(arguments, open_session))
    prewarm.set_defaults(run=lambda arguments: _prewarm(arguments, open_session))
    apply.set_defaults(run=lambda arguments: run_apply(arguments, open_session))
    review.set_defaults(run=lambda arguments: _review(arguments, open_session))
    return prewarm, apply, review, sync


def add_many_options(command: argparse.ArgumentParser) -> None:
    """Options of a command that works on many images."""
    command.add_argument(
        "--shard", metavar="I/N", type=_shard,
        help="only part I of N, from 0, by pixel hash; auto: from SLURM_ARRAY_TASK_ID, AWS_BATCH_JOB_ARRAY_INDEX or "
        "JOB_COMPLETION_INDEX; auto/N where the batch system does not tell N (Kubernetes)",
    )  # fmt: skip
    command.add_argument("--on", metavar="ADDRESS", help="the workers of the Dask scheduler there: tcp://host:8786")


def add_apply_options(command: argparse.ArgumentParser) -> None:
    """The same, and those of apply alone."""
    add_many_options(command)
    command.add_argument(
        "--all-states", action="store_true", help="also images that a person called done, empty or skip"
    )


def run_apply(arguments: argparse.Namespace, open_session: OpenSession) -> int:
    """Apply the template that the arguments name."""

    def begin(session: Session, **chosen: Any) -> Job:
        return session.apply(arguments.template, only_open=not arguments.all_states, **chosen)

    return _run(arguments, open_session, "apply", begin)


def _prewarm(arguments: argparse.Namespace, open_session: OpenSession) -> int:
    def begin(session: Session, **chosen: Any) -> Job:
        return session.prewarm(**chosen)

    return _run(arguments, open_session, "prewarm", begin)


def _sync(arguments: argparse.Namespace, open_session: OpenSession) -> None:
    with open_session(arguments) as session:
        say(f"{count_text(session.sync(), 'image')} with the embedding in the store")


def _run(arguments: argparse.Namespace, open_session: OpenSession, name: str, begin: Callable[..., Job]) -> int:
    started = time.monotonic()
    with open_session(arguments) as session:
        chosen: dict[str, Any] = {"dataset": arguments.dataset}
        if arguments.shard is not None:
            images = session.catalog.iter_images(dataset=arguments.dataset)
            chosen = {"images": [one for one in images if arguments.shard.has(one.pixel_hash)]}
        last = finished(begin(session, **chosen, on=arguments.on))
    if arguments.shard is None:
        say(summary_text(last))
    say(_summary(name, arguments.shard, last, time.monotonic() - started))
    if last.get("cancelled"):
        return 130
    return 1 if last["failed"] else 0


def _summary(name: str, shard: Shard | None, last: Event, seconds: float) -> str:
    """One line for the log of a batch system."""
    parts = [f"{last[what]:,} {what}" for what in ("computed", "skipped", "failed")]
    if "masks" in last.details:
        parts.append(count_text(last["masks"], "mask"))
    if "left_out" in last.details:
        parts.append(f"{last['left_out']:,} left out as done, empty or skip")
    part = "" if shard is None else f" shard {shard}"
    rate = last["computed"] / seconds if seconds else 0.0
    state = "stopped" if last.get("cancelled") else "done"
    return (
        f"samnb {name}{part} {state}: {count_text(last['total'], 'image')}, {', '.join(parts)}; "
        f"{seconds:.1f} s, {rate:.1f} images/s, {platform.node()} pid {os.getpid()}"
    )


def _review(arguments: argparse.Namespace, open_session: OpenSession) -> None:
    with open_session(arguments) as session:
        waiting = session.to_review(arguments.dataset, template=arguments.template)
        found = [
            one
            for review in ("", ACCEPTED, REJECTED, UNSURE)
            for one in session.catalog.annotations(dataset=arguments.dataset, review=review)
            if one.source.startswith("template:")
            and (arguments.template is None or one.source.partition("@")[0] == f"template:{arguments.template}")
        ]
    states = {UNSURE: "to review", ACCEPTED: "accepted", REJECTED: "rejected", "": "sure"}
    figures: dict[str, Counter[str]] = {}
    for one in found:
        figures.setdefault(one.category, Counter())[states[one.review]] += 1
    lowest = min((one.score for one in waiting), default=None)
    if arguments.json:
        say(json.dumps({"categories": figures, "to_review": len(waiting), "lowest_score": lowest}, indent=1))
        return
    for category, counts in sorted(figures.items()):
        say(f"{printable(category)}: " + ", ".join(f"{counts[state]:,} {state}" for state in states.values()))
    say(f"{len(waiting):,} to review" + ("" if lowest is None else f", the lowest score is {lowest:.2f}"))


def _shard(text: str) -> Shard:
    from ..errors import ShardError

    try:
        return Shard.parse(text)
    except ShardError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
