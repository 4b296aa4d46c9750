"""Checks of the exercises: each says whether an answer is right, and if not what is wrong with it, never what is right.

A check takes the student's answer: a value, or a function that it tries out. An answer that is still ``...`` is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What a check says; in a notebook it shows as a line.

    >>> Verdict("1.1", True, "three hashes")
    ✓ 1.1 right: three hashes
    """

    exercise: str
    right: bool | None
    text: str

    def __repr__(self) -> str:
        if self.right is None:
            return f"… {self.exercise} open: {self.text}"
        return f"✓ {self.exercise} right: {self.text}" if self.right else f"✗ {self.exercise} not yet: {self.text}"


class _Wrong(Exception):
    """Raised by a check with what is wrong."""


def _check(exercise: str, kind: type | None = None) -> Callable[[Callable[[Any], str]], Callable[[Any], Verdict]]:
    """A function that raises `_Wrong`, or returns what is right, as a check."""

    def decorate(check: Callable[[Any], str]) -> Callable[[Any], Verdict]:
        @wraps(check)
        def checked(answer: Any) -> Verdict:
            if answer is ...:
                return Verdict(exercise, None, "put your answer in the place of the three dots.")
            try:
                if kind is not None and (not isinstance(answer, kind) or isinstance(answer, bool)):
                    raise _Wrong(f"expected {kind.__name__}, got {type(answer).__name__}.")
                return Verdict(exercise, True, check(answer))
            except _Open:
                return Verdict(exercise, None, "the function returns nothing yet.")
            except _Wrong as wrong:
                return Verdict(exercise, False, str(wrong))
            except (TypeError, ValueError) as error:
                return Verdict(exercise, False, f"the answer has not the expected form: {error}")

        return checked

    return decorate


class _Open(Exception):
    """Raised where a function returns nothing."""


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a student's function; its error, or a result that is not there, said in words."""
    try:
        result = function(*arguments)
    except Exception as error:  # whatever a student's code raises is an answer that is wrong
        raise _Wrong(f"it raises {type(error).__name__}: {error}") from error
    if result is None or result is ...:
        raise _Open
    return result


def _near(value: Any, wanted: float, wrong: str, *, within: float = 1e-6) -> None:
    try:
        close = abs(float(value) - wanted) <= within
    except (TypeError, ValueError):
        raise _Wrong(f"expected a number, got {type(value).__name__}.") from None
    if not close:
        raise _Wrong(wrong)


# -- 1 · What an embedding is -----------------------------------------------------------------------------


@_check("1.1")
def exercise_1_1(similarity: Callable[..., Any]) -> str:
    """Cosine of the embedding at one cell with that at every cell."""
    features = np.random.default_rng(1).normal(size=(5, 4, 6)).astype(np.float32)
    found = np.asarray(_call(similarity, features, 2, 3))
    if found.shape != (4, 6):
        raise _Wrong(f"expected one number for each cell, shape (4, 6); got shape {found.shape}.")
    if abs(found[2, 3] - 1) > 1e-4:
        raise _Wrong(f"a cell should have similarity 1 with itself; it has {found[2, 3]:.2f}. Does length count?")
    longer = np.asarray(_call(similarity, features * np.linspace(1, 3, 6, dtype=np.float32), 2, 3))
    if not np.allclose(found, longer, atol=1e-4):
        raise _Wrong("a cell whose numbers are all twice as large points the same way; its cosine must stay.")
    unit = features / np.linalg.norm(features, axis=0)
    if not np.allclose(found, np.einsum("c,chw->hw", unit[:, 2, 3], unit), atol=1e-4):
        raise _Wrong("1 at the cell itself is right, elsewhere it is not. Is y the row, and x the column?")
    return "similar cells have a cosine near 1."


@_check("1.2", int)
def exercise_1_2(runs: int) -> str:
    """How often the encoder runs for a file, its copy, a lossless copy, and a part of it."""
    if runs > 3:
        raise _Wrong("you count files. Which of them have the same pixels, whatever their names?")
    if runs == 3:
        raise _Wrong("another format may hold the same pixels: PNG loses nothing.")
    if runs < 2:
        raise _Wrong("one of the pictures has other pixels than the first.")
    return "the encoder runs once for each different set of pixels."


@_check("1.3")
def exercise_1_3(speedup: Callable[..., Any]) -> str:
    """How many times as fast it is to encode once, for a number of clicks."""
    _near(_call(speedup, 2.0, 0.5, 1), 1.0, "with a single click, both ways take the same time.")
    many = float(_call(speedup, 2.0, 0.5, 10_000))
    if many > 6:
        raise _Wrong("with very many clicks it still takes the time of the clicks: the gain has a limit.")
    _near(_call(speedup, 2.0, 0.5, 4), 2.5, "4 clicks, 2 s an encode, 0.5 s a click: add up both ways by hand.")
    return "the more clicks, the larger the gain, up to (encode + click) / click."


# -- 2 · Prompts and ambiguity ----------------------------------------------------------------------------


@_check("2.1", np.ndarray)
def exercise_2_1(mask: np.ndarray) -> str:
    """A mask of the ring of the badge, without the dot."""
    from scenes import badge

    parts = badge()[1]
    if mask.shape != parts["ring"].shape or mask.dtype != bool:
        raise _Wrong(f"expected a mask of shape {parts['ring'].shape}, bool; got {mask.shape}, {mask.dtype}.")
    ring = _iou(mask, parts["ring"])
    if ring >= 0.9:
        return f"the ring without the dot, with an IoU of {'0.95 or more' if ring >= 0.95 else '0.9 or more'}."
    if _part(mask, parts["dot"]) > 0.5:
        raise _Wrong("the dot is still in the mask. Which kind of point takes something away?")
    if _part(mask, parts["plate"] & ~parts["disc"]) > 0.2:
        raise _Wrong("much of the plate is in the mask. Where should a point of the object lie?")
    raise _Wrong("a part of the ring is missing. Another point of the object may help.")


@_check("2.2")
def exercise_2_2(choose: Callable[..., Any]) -> str:
    """The candidate that satisfies the most points, and of these the one with the highest score."""
    masks = np.zeros((3, 10, 10), bool)
    masks[0, :, :4] = masks[1, :, :7] = masks[2] = True
    scores = [0.5, 0.7, 0.9]
    if int(_call(choose, masks, scores, [(2, 5), (8, 5)], [1, 0])) == 2:
        raise _Wrong("it takes a mask that covers a background point. Do the points count before the score?")
    if int(_call(choose, masks, scores, [(2, 5), (8, 5)], [1, 0])) != 1:
        raise _Wrong("of two candidates that satisfy all points, the one with the higher score is wanted.")
    if int(_call(choose, masks, scores, [(5, 5), (8, 5)], [0, 0])) != 0:
        raise _Wrong("a background point is satisfied where the mask is not.")
    tall = np.zeros((2, 4, 10), bool)
    tall[0, 1], tall[1, :, 7:] = True, True
    if int(_call(choose, tall, [0.5, 0.4], [(8, 3)], [1])) != 1:
        raise _Wrong("a point is (x, y), and a mask is indexed [y, x].")
    return "first the points, then the score."


@_check("2.3")
def exercise_2_3(to_xyxy: Callable[..., Any]) -> str:
    """A bbox (x, y, width, height) as a box (x0, y0, x1, y1)."""
    result = _call(to_xyxy, (10, 20, 30, 40))
    if len(tuple(result)) != 4:
        raise _Wrong("expected four numbers.")
    if tuple(result) == (10, 20, 30, 40):
        raise _Wrong("that is the bbox unchanged: its last two numbers are sizes, not a corner.")
    if tuple(result) != (10, 20, 40, 60):
        raise _Wrong("the first corner stays; the second is as far from it as the object is wide and high.")
    return "annotations have bboxes, prompts have boxes."


# -- 3 · How good is a mask -------------------------------------------------------------------------------


@_check("3.1")
def exercise_3_1(iou: Callable[..., Any]) -> str:
    """Intersection over union of two masks."""
    one, other = np.zeros((2, 10, 10), bool)
    one[:, :6], other[:, 3:9] = True, True
    value = _call(iou, one, other)
    if isinstance(value, float | np.floating | int) and abs(float(value) - 0.5) < 1e-6:
        raise _Wrong("that counts the shared pixels twice: it is the Dice coefficient, or a share of one mask.")
    if isinstance(value, float | np.floating | int) and abs(float(value) - 0.4) < 1e-6:
        raise _Wrong("that is the share of pixels on which both agree: ground that neither covers must not count.")
    _near(value, 1 / 3, "two masks of 60 pixels share 30. How many pixels does at least one of them cover?")
    _near(_call(iou, one, one), 1, "a mask with itself should give 1.")
    with np.errstate(all="ignore"):
        empty = _call(iou, np.zeros((2, 2), bool), np.zeros((2, 2), bool))
    if not np.isfinite(float(empty)):
        raise _Wrong("two empty masks divide by zero. Decide what they should give.")
    return "shared pixels, by the pixels that at least one covers."


@_check("3.2")
def exercise_3_2(next_point: Callable[..., Any]) -> str:
    """The middle of the larger mistake, and its label."""
    whole, half = np.zeros((2, 40, 60), bool)
    whole[10:30, 5:25] = half[10:30, 5:15] = True
    half[2:5, 50:53] = True
    for wanted, shown in ((whole, half), (half, whole)):  # something is missed; something is too much
        answer = _call(next_point, wanted, shown)
        try:
            (x, y), label = answer
        except (TypeError, ValueError):
            raise _Wrong("expected ((x, y), label).") from None
        wrong = wanted != shown
        if not (0 <= x < 60 and 0 <= y < 40 and wrong[int(y), int(x)]):
            raise _Wrong("that point lies where nothing is wrong. x is the column, y the row.")
        if not (10 <= y < 30 and 15 <= x < 25):
            raise _Wrong("there is a larger mistake elsewhere.")
        if label != int(wanted[int(y), int(x)]):
            raise _Wrong("the label tells whether the object should be there: 1, or should not: 0.")
        if min(int(x) - 14, 25 - int(x), int(y) - 9, 30 - int(y)) < 4:
            raise _Wrong("that is near the edge of the mistake: a click in its middle says more.")
    return "the middle of the largest mistake, as a careful user clicks."


@_check("3.3")
def exercise_3_3(interval: Callable[..., Any]) -> str:
    """A 95 % bootstrap interval of a mean."""
    values = np.random.default_rng(3).normal(0.8, 0.1, 40).clip(0, 1)
    result = _call(interval, values)
    try:
        low, high = (float(value) for value in result)
    except (TypeError, ValueError):
        raise _Wrong("expected two numbers: low, high.") from None
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    if not low < mean < high:
        raise _Wrong("the mean itself should lie between low and high.")
    if high - low > 6 * error:
        raise _Wrong("that is where the single values lie. How far would their mean move, with other objects?")
    if high - low < 2.8 * error:
        raise _Wrong("too narrow for 95 %: draw as many values as there are, with replacement, and keep the means.")
    return "with 40 objects, a mean IoU is known to a few hundredths only."


# -- 4 · Identity of pictures -----------------------------------------------------------------------------

_HASHES = {
    "renamed": {"content", "pixels", "perceptual"},
    "saved again as PNG": {"pixels", "perceptual"},
    "one pixel changed": {"perceptual"},
    "saved as JPEG": {"perceptual"},
    "another picture": set(),
}


@_check("4.1", dict)
def exercise_4_1(equal: Mapping[str, set[str]]) -> str:
    """Which hashes stay equal, or nearly so, for each change."""
    if set(equal) != set(_HASHES):
        raise _Wrong(f"expected an answer for each of: {', '.join(_HASHES)}.")
    for change, right in _HASHES.items():
        answer = set(equal[change])
        if unknown := answer - {"content", "pixels", "perceptual"}:
            raise _Wrong(f"{change}: {unknown.pop()!r} is no hash; there are content, pixels, perceptual.")
        if answer - right:
            raise _Wrong(f"{change}: one hash that you name does change. What is it a hash of?")
        if right - answer:
            raise _Wrong(f"{change}: one more hash stays. What is each a hash of?")
    return "bytes, pixels and look are three questions."


@_check("4.2")
def exercise_4_2(distance: Callable[..., Any]) -> str:
    """Number of differing bits of two hashes in hexadecimal."""
    value = _call(distance, "00ff", "000f")
    if value == 1:
        raise _Wrong("that counts characters. One hexadecimal digit stands for four bits.")
    if value == 240:
        raise _Wrong("that is the difference as a number. How many bits of it are 1?")
    _near(value, 4, "compare 00ff and 000f bit by bit, on paper.")
    _near(_call(distance, "8000", "0001"), 2, "8000 and 0001 differ in two bits.")
    return "near duplicates differ in few of 256 bits."


@_check("4.3", int)
def exercise_4_3(threshold: int) -> str:
    """A threshold in bits that finds every alike pair of the lesson, and no other pair."""
    alike, others = 42, 112
    if threshold < alike:
        raise _Wrong("a pair that looks alike is missed at this threshold.")
    if threshold >= others:
        raise _Wrong("a pair that does not look alike is reported at this threshold: a false alarm.")
    return "between the two groups. On a million pictures they overlap: then a person decides."


# -- 5 · From one example to a data set -------------------------------------------------------------------


@_check("5.1")
def exercise_5_1(precision_recall: Callable[..., Any]) -> str:
    """Precision and recall from counts."""
    result = _call(precision_recall, 8, 10, 16)
    try:
        precision, recall = (float(value) for value in result)
    except (TypeError, ValueError):
        raise _Wrong("expected two numbers: precision, recall.") from None
    if abs(precision - 0.5) < 1e-6 and abs(recall - 0.8) < 1e-6:
        raise _Wrong("the two are exchanged: precision is about what was found, recall about what is there.")
    _near(precision, 0.8, "8 of the 10 found masks are right. What share is that?")
    _near(recall, 0.5, "8 of the 16 objects were found. What share is that?")
    zero = _call(precision_recall, 0, 0, 16)
    if not np.isfinite(np.asarray(zero, float)).all():
        raise _Wrong("nothing found divides by zero. Decide what the precision is then.")
    return "precision: how many found are right. Recall: how many there are were found."


@_check("5.2")
def exercise_5_2(best_threshold: Callable[..., Any]) -> str:
    """The threshold with the best F1."""
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    right = np.array([True, True, True, False, True, False])
    value = _call(best_threshold, scores, right, 5)
    try:
        kept = scores >= float(value) - 1e-9
    except (TypeError, ValueError):
        raise _Wrong(f"expected a number, got {type(value).__name__}.") from None
    if kept.sum() == 3:
        raise _Wrong("at this threshold every mask is right, but an object is missed that could be found.")
    if kept.sum() == 6:
        raise _Wrong("at this threshold nothing is missed, but a mask that is wrong could be left out.")
    if kept.sum() != 5:
        raise _Wrong("another threshold has a better F1, the harmonic mean of precision and recall.")
    return "F1 weighs false ones against missed ones."


@_check("5.3", int)
def exercise_5_3(first: int) -> str:
    """Which of the masks a review shows first: scores 0.97, 0.52, 0.08 at a threshold of 0.5."""
    if first == 0:
        raise _Wrong("a mask that is almost certainly right teaches little. A person's time is short.")
    if first == 2:
        raise _Wrong("a mask that is almost certainly wrong is left out already.")
    if first != 1:
        raise _Wrong("expected the position of one of the three masks: 0, 1 or 2.")
    return "the least certain first."


# -- 6 · A result that others can repeat ------------------------------------------------------------------

_NEEDED = {"pixels", "weights", "prompts", "versions"}


@_check("6.1")
def exercise_6_1(needed: Any) -> str:
    """What somebody needs to make the same masks again."""
    known = {"pixels", "file names", "weights", "prompts", "versions", "name of the author"}
    answer = set(needed)
    if unknown := answer - known:
        raise _Wrong(f"{unknown.pop()!r} is not on the list.")
    if "file names" in answer:
        raise _Wrong("a picture is found by something else than where it lies.")
    if answer - _NEEDED:
        raise _Wrong("one of them says who made the masks, not how.")
    if missing := len(_NEEDED - answer):
        raise _Wrong(f"{missing} more {'is' if missing == 1 else 'are'} needed.")
    return "the same input, the same model, the same clicks; and versions, to explain a pixel that differs."


@_check("6.2", str)
def exercise_6_2(changed: str) -> str:
    """The picture that a replay cannot use."""
    name = changed.strip().rsplit("/", 1)[-1]
    if name == "coins_1.png":
        raise _Wrong("that one was only renamed: its pixels are the same. Read what the report says about failures.")
    if name != "coins_2.png":
        raise _Wrong("the replay found that one. Print the report.")
    return "it was saved with loss: other pixels, another picture."


@_check("6.3")
def exercise_6_3(differing: Callable[..., Any]) -> str:
    """The number of pixels in which two masks differ."""
    one, other = np.zeros((2, 5, 5), bool)
    one[1:4, 1:4] = True
    other[1:4, 2:5] = True
    value = _call(differing, one, other)
    if isinstance(value, bool | np.bool_):
        raise _Wrong("whether they differ is not enough: one pixel on a border is another matter than a wrong object.")
    if value == 0:
        raise _Wrong("two masks of one size may still cover other pixels: compare pixels, not areas.")
    _near(value, 6, "count the pixels that only one of the two masks covers.")
    return "identical means: none."


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def _part(mask: np.ndarray, region: np.ndarray) -> float:
    return float((mask & region).sum() / region.sum())


CHECKS: Sequence[Callable[[Any], Verdict]] = tuple(
    value for name, value in globals().items() if name.startswith("exercise_")
)
