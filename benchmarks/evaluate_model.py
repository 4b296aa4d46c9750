"""The repository's evaluation set through the yardstick: the embedded model, or other weights, beside the baselines.

    python -m benchmarks.evaluate_model                       # all sets, about five minutes
    python -m benchmarks.evaluate_model --no-baselines        # the model alone, about a minute
    python -m benchmarks.evaluate_model --weights new.safetensors --sets coins,cells --no-baselines
    python -m benchmarks.evaluate_model --sets everyday --jitter 5     # also with the first click at random

Prints a table for each set and writes the figures as JSON. Baselines get five clicks, to save time, so their
`noc` figures have another cap than the model's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import evaluation_set
from samnb.evaluation.baselines import BASELINES, make_baseline
from samnb.evaluation.cases import Case
from samnb.evaluation.evaluate import evaluate
from samnb.evaluation.jitter import Jitter, evaluate_jittered
from samnb.evaluation.report import ModelReport
from samnb.models import Model, load_model
from samnb.prompts import Prompt

RESULTS = Path(__file__).parent / "results" / "evaluation.json"

BASELINE_CLICKS = 5


def load_sets(names: Sequence[str] | None = None) -> dict[str, list[Case]]:
    """The cases of each set, in the order of the evaluation set; cases of one picture share its pixels.

    Raises
    ------
    SystemExit
        No set of that name.
    """
    if unknown := set(names or ()) - set(evaluation_set.SETS):
        raise SystemExit(f"No set {', '.join(sorted(unknown))}. There are: {', '.join(evaluation_set.SETS)}.")
    sets: dict[str, list[Case]] = {}
    for found in evaluation_set.load_cases(names):
        case = Case(found.image, found.pixels, found.mask, found.label, found.set_name)
        sets.setdefault(found.set_name, []).append(case)
    return sets


def evaluate_sets(
    model: Model, sets: dict[str, list[Case]], baselines: Iterable[str] = (), *, max_clicks: int = 20
) -> dict[str, ModelReport]:
    """One report for each set. A click on an empty picture comes first, so that no time holds the loading of a net."""
    others = [make_baseline(name) for name in baselines]
    model.decode(model.encode(np.zeros((64, 64, 3), np.uint8)), Prompt.of(points=[(32, 32)]))
    return {
        name: evaluate(model, cases, baselines=others, max_clicks=max_clicks, baseline_clicks=BASELINE_CLICKS)
        for name, cases in sets.items()
    }


def as_json(
    reports: dict[str, ModelReport], cpu_minutes: float, jitter: Mapping[str, Jitter] | None = None
) -> dict[str, Any]:
    """The figures of every set, without the rows of single cases but with the worst five."""
    sets = {}
    for name, report in reports.items():
        values = report.as_dict()
        for part in (values, *values["baselines"]):
            del part["cases"]
        sets[name] = values | {"worst": [case.as_dict() for case in report.worst()]}
        if jitter:
            sets[name]["jitter"] = jitter[name].as_dict()
    return {"cpu_minutes": round(cpu_minutes, 1), "sets": sets}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="a name of the registry")
    parser.add_argument("--weights", type=Path, help="another weight file than the model's own")
    parser.add_argument("--sets", help="names with commas between; all unless given")
    parser.add_argument("--max-clicks", type=int, default=20)
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--jitter", type=int, default=0, metavar="SEEDS", help="also with the first click at random")
    parser.add_argument("--json", type=Path, help="where the figures go (a full run: benchmarks/results)")
    arguments = parser.parse_args()
    started = time.process_time()
    model = load_model(arguments.model, checkpoint=arguments.weights)
    sets = load_sets(arguments.sets.split(",") if arguments.sets else None)
    baselines = () if arguments.no_baselines else tuple(BASELINES)
    reports = evaluate_sets(model, sets, baselines, max_clicks=arguments.max_clicks)
    for name, report in reports.items():
        print(f"== {name}\n{report}\n")
    jitter = {name: evaluate_jittered(model, sets[name], seeds=arguments.jitter) for name in sets if arguments.jitter}
    for name, result in jitter.items():
        print(f"{name}: {result}")
    minutes = (time.process_time() - started) / 60
    whole = baselines and not arguments.sets and not arguments.weights and arguments.model == "tiny"
    place = arguments.json or (RESULTS if whole else None)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(as_json(reports, minutes, jitter), indent=1) + "\n")
    print(f"{minutes:.1f} minutes of processor time{f'; figures in {place}' if place else ''}")


if __name__ == "__main__":
    main()
