"""`Session.find_like` beside a template with the same example, on the sets of ``benchmarks/template_transfer.py``.

    python -m benchmarks.find_like [--model NAME --checkpoint FILE] [--sets coins cells] [--json FILE]

Both go through a session: the pictures are added and prewarmed, the example is accepted; then `find_like` is asked with
it, and a template of it is applied. They must find the same, since they are one search; the table says whether they do,
what it costs, and that no image was encoded for it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.template_transfer import SETS, Mask, Scene, Trial, annotated, tally
from samnb.session import Session

RESULTS = Path(__file__).parent / "results" / "find_like.json"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results = {}
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = run(SETS[name](), Path(folder), arguments.model, arguments.checkpoint)
        print(name, json.dumps(results[name]), flush=True)
    arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def run(trial: Trial, folder: Path, model: str, checkpoint: Path | None) -> dict[str, Any]:
    """Both ways on one set."""
    with Session(folder, model=model, checkpoint=checkpoint, device="cpu") as session:
        [shown] = session.add(trial.pixels, dataset="example", show=False).images
        added = [session.add(scene.pixels, dataset="scenes", show=False).images[0] for scene in trial.scenes]
        session.prewarm(show=False).wait()
        prompt, mask = annotated(trial.example, session.model, session.embedding(shown)[0])
        example = session.accept_mask(shown, mask, category="object", prompt=prompt)
        before = session.model.encodes
        options: Any = {"strategy": trial.strategy, **trial.parameters}
        template = session.template("object", **options)

        def by_template(image: Any) -> list[Mask]:
            session.apply(template, images=[image], show=False).wait()
            return [one.mask for one in session.annotations(image=image) if one.id != example.id]

        def by_likeness(image: Any) -> list[Mask]:
            return [one.mask for one in session.find_like(example, images=[image], show=False, **options)]

        like = _figures(trial.scenes, added, by_likeness)
        # Afterwards: what a template annotates is not proposed any more.
        made = _figures(trial.scenes, added, by_template)
        return {"template": made, "find_like": like, "encodes": session.model.encodes - before}


def _figures(scenes: Sequence[Scene], images: Sequence[Any], find: Callable[[Any], list[Mask]]) -> dict[str, Any]:
    found = false = kept = 0
    started = time.perf_counter()
    for scene, image in zip(scenes, images, strict=True):
        masks = find(image)
        here = tally(scene, masks)
        found, false, kept = found + here[0], false + here[1], kept + len(masks)
    seconds = (time.perf_counter() - started) / len(scenes)
    wanted = sum(len(scene.wanted) for scene in scenes)
    return {"found": found, "of": wanted, "false": false, "kept": kept, "seconds an image": round(seconds, 2)}


if __name__ == "__main__":
    main()
