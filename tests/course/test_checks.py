"""Every check of the course accepts the teacher's solution and rejects typical wrong answers, with a reason each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COURSE = Path(__file__).parents[2] / "notebooks" / "course"
sys.path.insert(0, str(COURSE))

import checks  # noqa: E402
import scenes  # noqa: E402
import solutions  # noqa: E402

PARTS = scenes.badge()[1]

#: Check, solution, wrong answers with a word of what the check must say.
CASES: dict[str, tuple[Any, list[tuple[Any, str]]]] = {
    "1_1": (
        solutions.similarity,
        [
            (lambda features, y, x: np.einsum("c,chw->hw", features[:, y, x], features), "length"),
            (lambda features, y, x: solutions.similarity(features, y, x).ravel(), "shape"),
            (lambda features, y, x: solutions.similarity(features, x, y), "index 3 is out of bounds|itself|raises"),
        ],
    ),
    "1_2": (solutions.runs, [(4, "files"), (3, "PNG"), (1, "other pixels")]),
    "1_3": (
        solutions.speedup,
        [
            (lambda encode, click, clicks: clicks, "limit"),
            (lambda encode, click, clicks: (encode + click) / click, "single click"),
        ],
    ),
    "2_1": (PARTS["ring"], [(PARTS["disc"], "dot"), (PARTS["plate"] & ~PARTS["dot"], "plate")]),
    "2_2": (
        solutions.choose,
        [
            (lambda masks, scores, points, labels: int(np.argmax(scores)), "background"),
            (lambda masks, scores, points, labels: 0, "higher score"),
            (
                lambda masks, scores, points, labels: max(
                    range(len(masks)),
                    key=lambda i: (
                        sum(
                            bool(masks[i][min(x, masks[i].shape[0] - 1), y]) == bool(label)
                            for (x, y), label in zip(points, labels, strict=True)
                        ),
                        scores[i],
                    ),
                ),
                "background|higher score|indexed",
            ),
        ],
    ),
    "2_3": (solutions.to_xyxy, [(lambda bbox: bbox, "unchanged"), (lambda b: (b[0], b[1], b[2], b[0]), "corner")]),
    "3_1": (
        solutions.iou,
        [
            (lambda one, other: 2 * (one & other).sum() / (one.sum() + other.sum()), "Dice"),
            (lambda one, other: (one == other).mean(), "agree"),
            (lambda one, other: (one & other).sum() / (one | other).sum(), "zero"),
        ],
    ),
    "3_2": (
        solutions.next_point,
        [
            (lambda wanted, shown: (solutions.next_point(wanted, shown)[0], 1), "label"),
            (lambda wanted, shown: (tuple(map(int, np.argwhere(wanted != shown)[0][::-1])), 0), "larger mistake"),
            (lambda wanted, shown: ((15, 10), int(wanted[10, 15])), "edge"),
        ],
    ),
    "3_3": (
        solutions.interval,
        [
            (lambda values: np.percentile(values, [2.5, 97.5]), "single values"),
            (lambda values: (values.mean() - 1e-4, values.mean() + 1e-4), "narrow"),
        ],
    ),
    "4_1": (
        solutions.equal,
        [
            ({**solutions.equal, "one pixel changed": {"pixels", "perceptual"}}, "does change"),
            ({**solutions.equal, "saved again as PNG": {"perceptual"}}, "one more"),
        ],
    ),
    "4_2": (
        solutions.distance,
        [
            (lambda one, other: sum(a != b for a, b in zip(one, other, strict=True)), "characters"),
            (lambda one, other: abs(int(one, 16) - int(other, 16)), "number"),
        ],
    ),
    "4_3": (solutions.threshold, [(10, "missed"), (128, "false alarm")]),
    "5_1": (
        solutions.precision_recall,
        [
            (lambda right, found, there: (right / there, right / max(found, 1)), "exchanged"),
            (lambda right, found, there: (np.float64(right) / found, right / there), "zero"),
        ],
    ),
    "5_2": (
        solutions.best_threshold,
        [
            (lambda scores, right, there: 0.7, "missed"),
            (lambda scores, right, there: min(scores), "left out"),
        ],
    ),
    "5_3": (solutions.first, [(0, "certainly right"), (2, "certainly wrong")]),
    "6_1": (
        solutions.needed,
        [({*solutions.needed, "file names"}, "found by"), (solutions.needed - {"weights"}, "1 more is")],
    ),
    "6_2": (solutions.changed, [("coins_1.png", "renamed"), ("coins_3.png", "found that one")]),
    "6_3": (
        solutions.differing,
        [
            (lambda one, other: not np.array_equal(one, other), "not enough"),
            (lambda one, other: abs(int(one.sum()) - int(other.sum())), "areas"),
        ],
    ),
}


def check_of(number: str) -> Callable[[Any], checks.Verdict]:
    return getattr(checks, f"exercise_{number}")


def test_every_check_has_cases() -> None:
    assert [f"exercise_{number}" for number in CASES] == [check.__name__ for check in checks.CHECKS]


@pytest.mark.parametrize("number", CASES)
def test_the_solution_is_accepted_and_no_answer_is_open(number: str) -> None:
    verdict = check_of(number)(CASES[number][0])
    assert verdict.right, verdict
    assert check_of(number)(...).right is None
    if callable(CASES[number][0]):
        assert check_of(number)(lambda *arguments: None).right is None


WRONG = [(number, answer, reason) for number, (_, wrong) in CASES.items() for answer, reason in wrong]


@pytest.mark.parametrize(("number", "answer", "reason"), WRONG)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero:RuntimeWarning")
def test_typical_wrong_answers_are_rejected_with_the_reason(number: str, answer: Any, reason: str) -> None:
    verdict = check_of(number)(answer)
    assert verdict.right is False, verdict
    assert any(part in verdict.text for part in reason.split("|")), verdict


@pytest.mark.parametrize("number", CASES)
def test_every_check_has_two_typical_wrong_answers(number: str) -> None:
    assert len(CASES[number][1]) >= 2


@pytest.mark.parametrize("number", CASES)
def test_what_makes_no_sense_is_rejected_too(number: str) -> None:
    for answer in ("nonsense", 10**6, lambda *arguments: "nonsense", lambda *arguments: 1 / 0):
        verdict = check_of(number)(answer)
        assert verdict.right is False, verdict
        assert verdict.text
