"""Checks of the exercises: each says whether an answer is right, and if not what is wrong with it, never what is right.

A check takes the student's answer: a value, or a function that it tries out. An answer that is still ``...`` is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from numbers import Integral
from typing import Any

import numpy as np
from IPython import get_ipython


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


class _Open(Exception):
    """Raised by a check with what is not there yet."""


@dataclass(frozen=True)
class Failed:
    """An answer that could not be made, and why."""

    text: str


def attempt(make: Callable[[], Any]) -> Any:
    """What a student's values lead to; where they lead to an error, a `Failed`, which every check takes as wrong."""
    try:
        return make()
    except Exception as error:  # whatever a student's values raise is an answer that is wrong
        return Failed(f"{type(error).__name__}: {error}")


_FUNCTION, _WHOLE, _TEXT, _DICT, _MASK = "a function", "a whole number", "a text in quotes", "a dict", "a mask"
_KINDS: Mapping[str, Any] = {_FUNCTION: Callable, _WHOLE: Integral, _TEXT: str, _DICT: Mapping, _MASK: np.ndarray}


def _check(exercise: str, kind: str = _FUNCTION) -> Callable[[Callable[[Any], str]], Callable[[Any], Verdict]]:
    """A function that raises `_Wrong`, or returns what is right, as a check of an answer of that kind."""

    def decorate(check: Callable[[Any], str]) -> Callable[[Any], Verdict]:
        @wraps(check)
        def checked(answer: Any) -> Verdict:
            if answer is ...:
                return Verdict(exercise, None, "put your answer in the place of the three dots.")
            try:
                if isinstance(answer, Failed):
                    raise _Wrong(f"it raises {answer.text}")
                if kind and (not isinstance(answer, _KINDS[kind]) or isinstance(answer, bool)):
                    raise _Wrong(f"expected {kind}, got {_told(answer)}.")
                return Verdict(exercise, True, check(answer))
            except _Open as still:
                return Verdict(exercise, None, str(still))
            except _Wrong as wrong:
                return Verdict(exercise, False, str(wrong))
            except Exception as error:  # a form that no check thought of: said in a line, never as a traceback
                return Verdict(exercise, False, f"the answer has not the expected form: {error}")

        return checked

    return decorate


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a student's function; its error, or a result that is not there, said in words."""
    # Copies: a function that changes what it is given changes nothing for the next call.
    given = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
    try:
        with np.errstate(all="ignore"):  # what divides by zero is told by the check, in words
            result = function(*given)
    except Exception as error:  # whatever a student's code raises is an answer that is wrong
        small = all(isinstance(argument, int | float | str | tuple) for argument in arguments)
        call = f"called with {', '.join(map(repr, arguments))}, it" if small else "it"
        raise _Wrong(f"{call} raises {type(error).__name__}: {error}") from error
    if result is None or result is ...:
        raise _Open("the function returns nothing yet: does it end with return?")
    return result


def _told(value: Any) -> str:
    """A value for a message: its kind, and itself where that is short."""
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 30 and not callable(value) else type(value).__name__


def _number(value: Any) -> float:
    """One number, of Python or NumPy."""
    if np.ndim(value) or isinstance(value, str | bytes | bool | np.bool_):
        raise _Wrong(f"expected one number, got {_told(value)}.")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise _Wrong(f"expected one number, got {_told(value)}.") from None


def _numbers(value: Any, names: str) -> list[float]:
    """As many numbers as there are names."""
    count = len(names.split(", "))
    if np.ndim(value) != 1 or len(value) != count:
        raise _Wrong(f"expected {count} numbers: {names}; got {_told(value)}.")
    return [_number(one) for one in value]


def _near(value: Any, wanted: float, wrong: str, *, within: float = 1e-6) -> None:
    number = _number(value)
    if abs(number - wanted) <= within:
        return
    if wanted and abs(number - 100 * wanted) <= 100 * within:
        raise _Wrong("that is a percentage: leave out the factor of 100.")
    raise _Wrong(wrong)


def _no_such_name(shell: Any, kind: type, error: NameError, traceback: Any, tb_offset: int | None = None) -> None:
    """A name that a check cell misses, as a line; in every other cell the error is shown as always."""
    if "checks." in shell.user_ns["In"][-1]:
        print(
            f"… open: there is no {error.name!r} yet. Run the cells above, from the top; is it in the exercise's cell?"
        )
    else:
        shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)


if (_shell := get_ipython()) is not None:
    _shell.set_custom_exc((NameError,), _no_such_name)


# -- 1 · What an embedding is -----------------------------------------------------------------------------


@_check("1.1")
def exercise_1_1(similarity: Callable[..., Any]) -> str:
    """Cosine of the embedding at one cell with that at every cell."""
    features = np.random.default_rng(1).normal(size=(5, 4, 6)).astype(np.float32)
    found = np.asarray(_call(similarity, features, 2, 3))
    if found.shape != (4, 6):
        raise _Wrong(f"expected one number for each cell, shape (4, 6); got shape {found.shape}.")
    itself = float(found[2, 3])
    if abs(itself - 1) > 1e-4:
        if np.isclose(found, 1, atol=1e-4).sum() == 1:
            raise _Wrong(
                "another cell than the one that is asked for has similarity 1. Is y the row, and x the column?"
            )
        raise _Wrong(f"a cell should have similarity 1 with itself; it has {itself:.2f}. Does length count?")
    longer = np.asarray(_call(similarity, features * np.linspace(1, 3, 6, dtype=np.float32), 2, 3))
    if not np.allclose(found, longer, atol=1e-4):
        raise _Wrong("a cell whose numbers are all twice as large points the same way; its cosine must stay.")
    unit = features / np.linalg.norm(features, axis=0)
    if not np.allclose(found, np.einsum("c,chw->hw", unit[:, 2, 3], unit), atol=1e-4):
        raise _Wrong("1 at the cell itself is right, elsewhere it is not. Over which axis is a length taken?")
    return "similar cells have a cosine near 1."


@_check("1.2", _WHOLE)
def exercise_1_2(runs: int) -> str:
    """How often the encoder runs for a file, its copy, a lossless copy, and a part of it."""
    if runs > 4 or runs < 1:
        raise _Wrong("there are four files, and at least one of them has to be encoded.")
    if runs == 4:
        raise _Wrong("you count files. Which of them have the same pixels, whatever their names?")
    if runs == 3:
        raise _Wrong("another format may hold the same pixels: PNG loses nothing.")
    if runs == 1:
        raise _Wrong("one of the pictures has other pixels than the first.")
    return "the encoder runs once for each different set of pixels."


@_check("1.3")
def exercise_1_3(speedup: Callable[..., Any]) -> str:
    """How many times as fast it is to encode once, for a number of clicks."""
    _near(_call(speedup, 2.0, 0.5, 1), 1.0, "with a single click, both ways take the same time.")
    many = _number(_call(speedup, 2.0, 0.5, 10_000))
    if many > 6:
        raise _Wrong("with very many clicks it still takes the time of the clicks: the gain has a limit.")
    if many < 1:
        raise _Wrong("that is below 1, as if encoding once were slower. Which time is divided by which?")
    _near(_call(speedup, 2.0, 0.5, 4), 2.5, "4 clicks, 2 s an encode, 0.5 s a click: add up both ways by hand.")
    return "the more clicks, the larger the gain, up to (encode + click) / click."


# -- 2 · Prompts and ambiguity ----------------------------------------------------------------------------


@_check("2.1", _MASK)
def exercise_2_1(mask: np.ndarray) -> str:
    """A mask of the hair on the portrait, without the face."""
    from scenes import portrait

    parts = portrait()[1]
    if mask.shape != parts["hair"].shape or mask.dtype != bool:
        raise _Wrong(f"expected a mask of shape {parts['hair'].shape}, bool; got {mask.shape}, {mask.dtype}.")
    if _part(mask, parts["face"]) > 0.2:
        raise _Wrong("the face is in the mask. Which kind of point takes something away?")
    if _part(mask, parts["collar"]) > 0.2:
        raise _Wrong("the collar is in the mask. Where should a point of the object lie, and where one beside it?")
    if _part(mask, parts["hair"]) < 0.8:
        raise _Wrong("a part of the hair is missing. Another point of the object may help.")
    if mask.sum() > 2 * np.count_nonzero(parts["hair"]) + 10_000:
        raise _Wrong("much more than the hair is in the mask. Look at the picture below.")
    return "the hair without the face: one point adds, another takes away."


@_check("2.2")
def exercise_2_2(choose: Callable[..., Any]) -> str:
    """The candidate that satisfies the most points, and of these the one with the highest score."""
    masks = np.zeros((3, 10, 10), bool)
    masks[0, :, :4] = masks[1, :, :7] = masks[2] = True
    scores = [0.5, 0.7, 0.9]
    chosen = _number(_call(choose, masks, scores, [(2, 5), (8, 5)], [1, 0]))
    if chosen not in (0, 1, 2):
        raise _Wrong(f"expected the position of one of three masks: 0, 1 or 2; got {_told(chosen)}.")
    if chosen == 2:
        raise _Wrong("it takes a mask that covers a background point. Do the points count before the score?")
    if chosen != 1:
        raise _Wrong("of two candidates that satisfy all points, the one with the higher score is wanted.")
    if _number(_call(choose, masks, scores, [(5, 5), (8, 5)], [0, 0])) != 0:
        raise _Wrong("a background point is satisfied where the mask is not.")
    tall = np.zeros((2, 4, 10), bool)
    tall[0, 1], tall[1, :, 7:] = True, True
    if _number(_call(choose, tall, [0.5, 0.4], [(8, 3)], [1])) != 1:
        raise _Wrong("a point is (x, y), and a mask is indexed [y, x].")
    return "first the points, then the score."


@_check("2.3")
def exercise_2_3(to_xyxy: Callable[..., Any]) -> str:
    """A bbox (x, y, width, height) as a box (x0, y0, x1, y1)."""
    result = _numbers(_call(to_xyxy, (10, 20, 30, 40)), "x0, y0, x1, y1")
    if result == [10, 20, 30, 40]:
        raise _Wrong("that is the bbox unchanged: its last two numbers are sizes, not a corner.")
    if result[:2] == [20, 10]:
        raise _Wrong("x and y are exchanged: x comes first.")
    if result == [10, 20, 50, 50]:
        raise _Wrong("the width goes along x, the height along y.")
    other = _numbers(_call(to_xyxy, (0, 1, 5, 7)), "x0, y0, x1, y1")
    if result != [10, 20, 40, 60] or other != [0, 1, 5, 8]:
        raise _Wrong("the first corner stays; the second is as far from it as the object is wide and high.")
    return "annotations have bboxes, prompts have boxes."


# -- 3 · How good is a mask -------------------------------------------------------------------------------


@_check("3.1")
def exercise_3_1(iou: Callable[..., Any]) -> str:
    """Intersection over union of two masks."""
    one, other = np.zeros((2, 10, 10), bool)
    one[:, :6], other[:, 3:9] = True, True
    value = _number(_call(iou, one, other))
    if abs(value - 0.5) < 1e-6:
        raise _Wrong("that counts the shared pixels twice: it is the Dice coefficient, or a share of one mask.")
    if abs(value - 0.4) < 1e-6:
        raise _Wrong("that is the share of pixels on which both agree: ground that neither covers must not count.")
    if value == 30:
        raise _Wrong("that is the number of shared pixels. A share of what is wanted?")
    if value == 0.25:
        raise _Wrong("the shared pixels are counted twice below: how many pixels does at least one mask cover?")
    _near(value, 1 / 3, "two masks of 60 pixels share 30. How many pixels does at least one of them cover?")
    _near(_call(iou, one, one), 1, "a mask with itself should give 1.")
    empty = _number(_call(iou, np.zeros((2, 2), bool), np.zeros((2, 2), bool)))
    if not np.isfinite(empty):
        raise _Wrong("two empty masks divide by zero. Decide what they should give.")
    return "shared pixels, by the pixels that at least one covers."


@_check("3.2")
def exercise_3_2(next_point: Callable[..., Any]) -> str:
    """The middle of the larger mistake, and its label."""
    # Far from the diagonal: a point with x and y exchanged is never right by chance.
    whole, half = np.zeros((2, 40, 60), bool)
    whole[5:25, 25:55] = half[5:25, 25:40] = True
    half[32:35, 3:6] = True
    for wanted, shown in ((whole, half), (half, whole)):  # something is missed; something is too much
        answer = _call(next_point, wanted, shown)
        if not isinstance(answer, tuple | list) or len(answer) != 2 or np.ndim(answer[0]) != 1:
            raise _Wrong(f"expected ((x, y), label), got {_told(answer)}.")
        x, y = (int(value) for value in _numbers(answer[0], "x, y"))
        label = _number(int(answer[1]))
        wrong = wanted != shown
        if not (0 <= x < 60 and 0 <= y < 40 and wrong[y, x]):
            raise _Wrong("that point lies where nothing is wrong. x is the column, y the row.")
        if not (5 <= y < 25 and 40 <= x < 55):
            raise _Wrong("there is a larger mistake elsewhere.")
        if label != int(wanted[y, x]):
            raise _Wrong("the label tells whether the object should be there: 1, or should not: 0.")
        if min(x - 39, 55 - x, y - 4, 25 - y) < 4:
            raise _Wrong("that is near the edge of the mistake: a click in its middle says more.")
    return "the middle of the largest mistake, as a careful user clicks."


@_check("3.3")
def exercise_3_3(interval: Callable[..., Any]) -> str:
    """A 95 % bootstrap interval of a mean."""
    values = np.random.default_rng(3).normal(0.8, 0.1, 40).clip(0, 1)
    low, high = _numbers(_call(interval, values), "low, high")
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    if low > high:
        raise _Wrong("the smaller number comes first.")
    if not low < mean < high:
        raise _Wrong("the mean itself should lie between low and high.")
    if high - low > 6 * error:
        raise _Wrong("that is where the single values lie. How far would their mean move, with other objects?")
    if high - low > 4.5 * error:
        raise _Wrong("too wide for 95 %. How many values does each mean come from, and which percentiles are taken?")
    if high - low < 3.5 * error:
        raise _Wrong("too narrow for 95 %: draw as many values as there are, with replacement, and keep 2,000 means.")
    return "with 40 objects, a mean IoU is known to a few hundredths only."


# -- 4 · Identity of pictures -----------------------------------------------------------------------------

_HASHES = {
    "renamed": {"content", "pixels", "perceptual"},
    "saved again as PNG": {"pixels", "perceptual"},
    "one pixel changed": {"perceptual"},
    "saved as JPEG": {"perceptual"},
    "another picture": set(),
}


@_check("4.1", _DICT)
def exercise_4_1(equal: Mapping[str, Any]) -> str:
    """Which hashes stay equal, or nearly so, for each change."""
    if set(equal) != set(_HASHES):
        raise _Wrong(f"expected an answer for each of: {', '.join(_HASHES)}.")
    if still := [change for change in _HASHES if equal[change] is ...]:
        raise _Open(f"nothing is said yet of: {', '.join(still)}.")
    for change, right in _HASHES.items():
        answer = _names(equal[change], {"content", "pixels", "perceptual"}, f"{change}: ")
        if answer - right:
            raise _Wrong(f"{change}: one hash that you name does change. What is it a hash of?")
        if right - answer:
            raise _Wrong(f"{change}: one more hash stays. What is each a hash of?")
    return "bytes, pixels and look are three questions."


@_check("4.2")
def exercise_4_2(distance: Callable[..., Any]) -> str:
    """Number of differing bits of two hashes in hexadecimal."""
    value = _number(_call(distance, "00ff", "000f"))
    if value == 1:
        raise _Wrong("that counts characters. One hexadecimal digit stands for four bits.")
    if value in (240, -240):
        raise _Wrong("that is the difference as a number. How many bits of it are 1?")
    _near(value, 4, "compare 00ff and 000f bit by bit, on paper.")
    _near(_call(distance, "8000", "0001"), 2, "8000 and 0001 differ in two bits.")
    _near(_call(distance, "f" * 64, "0" * 64), 256, "64 digits of f and 64 digits of 0 differ in every bit.")
    return "near duplicates differ in few of 256 bits."


@_check("4.3", _WHOLE)
def exercise_4_3(threshold: int) -> str:
    """A threshold in bits that finds every alike pair of the lesson, and no other pair."""
    alike, others = 42, 112
    if threshold < alike:
        raise _Wrong("a pair that looks alike is missed at this threshold.")
    if threshold >= others:
        raise _Wrong("a pair that does not look alike is reported at this threshold: a false alarm.")
    if threshold >= 90:
        raise _Wrong('it reports "cut 5 percent" too, which the exercise leaves out.')
    return "between the two groups. On a million pictures they overlap: then a person decides."


# -- 5 · From one example to a data set -------------------------------------------------------------------


@_check("5.1")
def exercise_5_1(precision_recall: Callable[..., Any]) -> str:
    """Precision and recall from counts."""
    precision, recall = _numbers(_call(precision_recall, 8, 10, 16), "precision, recall")
    if abs(precision - 0.5) < 1e-6 and abs(recall - 0.8) < 1e-6:
        raise _Wrong("the two are exchanged: precision is about what was found, recall about what is there.")
    _near(precision, 0.8, "8 of the 10 found masks are right. What share is that?")
    _near(recall, 0.5, "8 of the 16 objects were found. What share is that?")
    other = _numbers(_call(precision_recall, 3, 4, 12), "precision, recall")
    if not np.allclose(other, [0.75, 0.25]):
        raise _Wrong("for 8, 10 and 16 it is right, for 3, 4 and 12 it is not. Does it use what it is given?")
    zero = _numbers(_call(precision_recall, 0, 0, 16), "precision, recall")
    if not np.isfinite(zero).all():
        raise _Wrong("nothing found divides by zero. Decide what the precision is then.")
    return "precision: how many found are right. Recall: how many there are were found."


@_check("5.2")
def exercise_5_2(best_threshold: Callable[..., Any]) -> str:
    """The threshold with the best F1."""
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    right = np.array([True, True, True, False, True, False])
    value = _number(_call(best_threshold, scores, right, 5))
    kept = int((scores >= value - 1e-9).sum())
    if kept == 0:
        raise _Wrong("no mask has so high a score. A threshold is wanted, not the position of one.")
    if kept == 3:
        raise _Wrong("at this threshold every mask is right, but an object is missed that could be found.")
    if kept == 6:
        raise _Wrong("at this threshold nothing is missed, but a mask that is wrong could be left out.")
    if kept != 5:
        raise _Wrong("another threshold has a better F1, the harmonic mean of precision and recall.")
    other = _number(_call(best_threshold, np.array([0.3, 0.6, 0.95]), np.array([False, False, True]), 1))
    if not 0.6 < other <= 0.95 + 1e-9:
        raise _Wrong("for other masks, with other scores in another order, another threshold is the best.")
    return "F1 weighs false ones against missed ones."


@_check("5.3", _WHOLE)
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


@_check("6.1", "")
def exercise_6_1(needed: Any) -> str:
    """What somebody needs to make the same masks again."""
    answer = _names(needed, {"pixels", "file names", "weights", "prompts", "versions", "name of the author"})
    if "file names" in answer:
        raise _Wrong("a picture is found by something else than where it lies.")
    if answer - _NEEDED:
        raise _Wrong("one of them says who made the masks, not how.")
    if missing := len(_NEEDED - answer):
        raise _Wrong(f"{missing} more {'is' if missing == 1 else 'are'} needed.")
    return "the same input, the same model, the same clicks; and versions, to explain a pixel that differs."


@_check("6.2", _TEXT)
def exercise_6_2(changed: str) -> str:
    """The picture that a replay cannot use."""
    name = changed.strip().rsplit("/", 1)[-1]
    if name.startswith("IMG"):
        raise _Wrong("that is its name at the third person's. What does the recipe call it?")
    if name == "coins_1.png":
        raise _Wrong("that one was only renamed: its pixels are the same. Read what the report says about failures.")
    if name in ("coins_1", "coins_2"):
        raise _Wrong("the whole name is wanted, with its ending.")
    if name != "coins_2.png":
        raise _Wrong("the recipe has no picture of that name. Print the report.")
    return "it was saved with loss: other pixels, another picture."


@_check("6.3")
def exercise_6_3(differing: Callable[..., Any]) -> str:
    """The number of pixels in which two masks differ."""
    one, other = np.zeros((2, 5, 5), bool)
    one[1:4, 1:4] = True
    other[1:4, 2:5] = True
    result = _call(differing, one, other)
    if isinstance(result, bool | np.bool_):
        raise _Wrong("whether they differ is not enough: one pixel on a border is another matter than a wrong object.")
    value = _number(result)
    if value == 0:
        raise _Wrong("two masks of one size may still cover other pixels: compare pixels, not areas.")
    if 0 < value < 1:
        raise _Wrong("that is a share of the picture: a number of pixels is wanted.")
    if value == 3:
        raise _Wrong("that counts what one mask has more. A pixel may also be missing in it.")
    _near(value, 6, "count the pixels that only one of the two masks covers.")
    _near(_call(differing, one, one), 0, "a mask does not differ from itself.")
    return "identical means: none."


def _names(answer: Any, known: set[str], where: str = "") -> set[str]:
    """Names out of a list, as a set; `set("text")` would be its letters."""
    if isinstance(answer, str) or not isinstance(answer, set | frozenset | list | tuple | Mapping):
        raise _Wrong(f"{where}expected a set of names in curly brackets, got {_told(answer)}.")
    if unknown := set(answer) - known:
        raise _Wrong(f"{where}{sorted(map(str, unknown))[0]!r} is none of the names to choose from.")
    return set(answer)


def _part(mask: np.ndarray, region: np.ndarray) -> float:
    return float((mask & region).sum() / region.sum())


CHECKS: Sequence[Callable[[Any], Verdict]] = tuple(
    value for name, value in globals().items() if name.startswith("exercise_")
)
