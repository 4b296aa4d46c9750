"""Every check of the course accepts the teacher's solution and rejects typical wrong answers, with a reason each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

COURSE = Path(__file__).parents[2] / "notebooks" / "course"
sys.path.insert(0, str(COURSE))

import checks  # noqa: E402
import scenes  # noqa: E402
import solutions  # noqa: E402

PARTS = scenes.portrait()[1]


def bootstrap(values: Any, low: float, high: float) -> tuple[float, float]:
    means = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    return float(np.percentile(means, low)), float(np.percentile(means, high))


#: Check, solution, wrong answers with a word of what the check must say.
CASES: dict[str, tuple[Any, list[tuple[Any, str]]]] = {
    "1_1": (
        solutions.similarity,
        [
            (lambda features, y, x: np.einsum("c,chw->hw", features[:, y, x], features), "length"),
            (lambda features, y, x: solutions.similarity(features, y, x).ravel(), "shape"),
            (lambda features, y, x: solutions.similarity(features, x, y), "y the row"),
            (lambda features, y, x: 1 - solutions.similarity(features, y, x), "itself"),
        ],
    ),
    "1_2": (
        solutions.runs,
        [(4, "files"), (3, "PNG"), (np.int64(1), "other pixels"), (2.5, "whole number"), (0, "at least one")],
    ),
    "1_3": (
        solutions.speedup,
        [
            (lambda encode, click, clicks: clicks, "limit"),
            (lambda encode, click, clicks: (encode + click) / click, "single click"),
            (lambda encode, click, clicks: 1 / solutions.speedup(encode, click, clicks), "divided by which"),
            (lambda encode, click, clicks: 100 * solutions.speedup(encode, click, clicks), "percentage"),
            (lambda encode, click, clicks: str(solutions.speedup(encode, click, clicks)), "one number"),
        ],
    ),
    "2_1": (
        PARTS["hair"],
        [
            (PARTS["hair"] | PARTS["face"], "face"),
            (PARTS["hair"] | PARTS["collar"], "collar"),
            (~PARTS["hair"] & ~PARTS["face"] & ~PARTS["collar"], "missing"),
            (~PARTS["face"] & ~PARTS["collar"], "much more"),
            (PARTS["hair"].astype(int), "bool"),
            (checks.attempt(lambda: [][0]), "IndexError"),
        ],
    ),
    "2_2": (
        solutions.choose,
        [
            (lambda masks, scores, points, labels: int(np.argmax(scores)), "background"),
            (lambda masks, scores, points, labels: masks[1], "one number"),
            (lambda masks, scores, points, labels: 3, "position"),
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
    "2_3": (
        solutions.to_xyxy,
        [
            (lambda bbox: bbox, "unchanged"),
            (lambda b: (b[0], b[1], b[2], b[0]), "corner"),
            (lambda b: (b[1], b[0], b[1] + b[3], b[0] + b[2]), "exchanged"),
            (lambda b: (b[0], b[1], b[0] + b[3], b[1] + b[2]), "width"),
            (lambda b: (10, 20, 40, 60), "first corner"),
            (lambda b: b[0] + b[2], "4 numbers"),
        ],
    ),
    "3_1": (
        solutions.iou,
        [
            (lambda one, other: 2 * (one & other).sum() / (one.sum() + other.sum()), "Dice"),
            (lambda one, other: (one == other).mean(), "agree"),
            (lambda one, other: 100 * solutions.iou(one, other), "percentage"),
            (lambda one, other: (one & other).sum(), "number of shared"),
            (lambda one, other: (one & other).sum() / (one.sum() + other.sum()), "counted twice"),
            (lambda one, other: (one & other).sum() / (one | other).sum(), "zero"),
        ],
    ),
    "3_2": (
        solutions.next_point,
        [
            (lambda wanted, shown: (solutions.next_point(wanted, shown)[0], 1), "label"),
            (lambda wanted, shown: (tuple(map(int, np.argwhere(wanted != shown)[-1][::-1])), 0), "larger mistake"),
            (lambda wanted, shown: ((41, 6), int(wanted[6, 41])), "edge"),
            (lambda wanted, shown: (solutions.next_point(wanted, shown)[0][::-1], 1), "nothing is wrong"),
            (lambda wanted, shown: solutions.next_point(wanted, shown)[0], "((x, y), label)"),
        ],
    ),
    "3_3": (
        solutions.interval,
        [
            (lambda values: np.percentile(values, [2.5, 97.5]), "single values"),
            (lambda values: (values.mean() - 1e-4, values.mean() + 1e-4), "narrow"),
            (lambda values: bootstrap(values, 5, 95), "narrow"),
            (lambda values: bootstrap(values, 0.5, 99.5), "wide"),
            (lambda values: solutions.interval(values)[::-1], "smaller number"),
            (lambda values: values.mean(), "2 numbers"),
        ],
    ),
    "4_1": (
        solutions.equal,
        [
            ({**solutions.equal, "one pixel changed": {"pixels", "perceptual"}}, "does change"),
            ({**solutions.equal, "saved again as PNG": {"perceptual"}}, "one more"),
            ({**solutions.equal, "renamed": "content"}, "curly brackets"),
            ({**solutions.equal, "renamed": {"bytes"}}, "none of the names"),
            ({"renamed": {"content"}}, "for each of"),
            ({}, "for each of"),
        ],
    ),
    "4_2": (
        solutions.distance,
        [
            (lambda one, other: sum(a != b for a, b in zip(one, other, strict=True)), "characters"),
            (lambda one, other: abs(int(one, 16) - int(other, 16)), "number"),
            (lambda one, other: one ^ other, "called with '00ff', '000f', it raises TypeError"),
            (lambda one, other: bin((int(one, 16) ^ int(other, 16)) & (2**64 - 1)).count("1"), "64 digits"),
        ],
    ),
    "4_3": (
        solutions.threshold,
        [(10, "missed"), (128, "false alarm"), (95, "5 percent"), (0.2, "whole number"), ("51", "whole number")],
    ),
    "5_1": (
        solutions.precision_recall,
        [
            (lambda right, found, there: (right / there, right / max(found, 1)), "exchanged"),
            (lambda right, found, there: (np.float64(right) / found, right / there), "divides by zero"),
            (lambda right, found, there: (right / found, right / there), "called with 0, 0, 16, it raises"),
            (lambda right, found, there: (100 * right / found, 100 * right / there), "percentage"),
            (lambda right, found, there: (0.8, 0.5), "what it is given"),
            (lambda right, found, there: right / found, "2 numbers"),
        ],
    ),
    "5_2": (
        solutions.best_threshold,
        [
            (lambda scores, right, there: 0.7, "missed"),
            (lambda scores, right, there: min(scores), "left out"),
            (
                lambda scores, right, there: list(scores).index(solutions.best_threshold(scores, right, there)),
                "position",
            ),
            (lambda scores, right, there: 0.5, "other masks"),
        ],
    ),
    "5_3": (solutions.first, [(0, "certainly right"), (2, "certainly wrong"), (3, "position"), (0.52, "whole number")]),
    "6_1": (
        solutions.needed,
        [
            ({*solutions.needed, "file names"}, "found by"),
            (solutions.needed - {"weights"}, "1 more is"),
            (set(), "4 more are"),
            ("pixels", "curly brackets"),
            ({"pixels", "model"}, "'model' is none"),
        ],
    ),
    "6_2": (
        solutions.changed,
        [
            ("coins_1.png", "renamed"),
            ("coins_3.png", "no picture of that name"),
            ("IMG_2.jpg", "third person"),
            ("coins_2", "ending"),
        ],
    ),
    "6_3": (
        solutions.differing,
        [
            (lambda one, other: not np.array_equal(one, other), "not enough"),
            (lambda one, other: abs(int(one.sum()) - int(other.sum())), "areas"),
            (lambda one, other: (one != other).mean(), "share"),
            (lambda one, other: (one & ~other).sum(), "what one mask has more"),
            (lambda one, other: 6, "itself"),
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
def test_typical_wrong_answers_are_rejected_with_the_reason(number: str, answer: Any, reason: str) -> None:
    verdict = check_of(number)(answer)
    assert verdict.right is False, verdict
    assert any(part in verdict.text for part in reason.split("|")), verdict


@pytest.mark.parametrize("number", CASES)
def test_every_check_has_two_typical_wrong_answers(number: str) -> None:
    assert len(CASES[number][1]) >= 2


@pytest.mark.parametrize("number", CASES)
def test_what_makes_no_sense_is_rejected_too(number: str) -> None:
    everything = [
        None,
        "",
        "nonsense",
        True,
        np.bool_(True),
        10**6,
        -1,
        1.5,
        float("nan"),
        10**400,
        b"",
        [],
        {},
        set(),
        object(),
    ]
    everything += [np.zeros(3), np.zeros((2, 2, 2)), checks.Failed("ValueError: no"), int, Path]
    for answer in [*everything, *(lambda *arguments, one=one: one for one in everything if one is not None)]:
        verdict = check_of(number)(answer)
        assert verdict.right is False, verdict
        assert verdict.text
        assert "\n" not in repr(verdict)


@pytest.mark.parametrize("number", [number for number, (right, _) in CASES.items() if callable(right)])
def test_what_a_function_raises_is_said_in_a_line(number: str) -> None:
    verdict = check_of(number)(lambda *arguments: 1 / 0)
    assert verdict.right is False
    assert "ZeroDivisionError: division by zero" in verdict.text
    assert "raises TypeError" in check_of(number)(lambda: 1).text
    assert "expected a function, got" in check_of(number)(3).text


@pytest.mark.parametrize("number", [number for number, (right, _) in CASES.items() if callable(right)])
def test_a_function_that_changes_what_it_is_given_is_judged_by_what_it_returns(number: str) -> None:
    def changes(*arguments: Any) -> Any:
        result = CASES[number][0](*arguments)
        for one in arguments:
            if isinstance(one, np.ndarray):
                one[...] = 0
        return result

    assert check_of(number)(changes).right


def test_a_partly_filled_answer_is_open_and_names_what_is_left() -> None:
    verdict = checks.exercise_4_1({**solutions.equal, "renamed": ..., "saved as JPEG": ...})
    assert verdict.right is None
    assert "renamed, saved as JPEG" in verdict.text


def test_a_name_that_is_not_there_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    shell = InteractiveShell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    shell.user_ns["checks"] = checks
    shell.set_custom_exc((NameError,), checks._no_such_name)
    shell.run_cell("checks.exercise_1_2(runs)", store_history=True)
    said = capsys.readouterr().out
    assert "there is no 'runs' yet" in said
    assert "Traceback" not in said
    shell.run_cell("print(walks)", store_history=True)
    assert "Traceback" in capsys.readouterr().out
