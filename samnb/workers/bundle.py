"""`run_bundle`: what a worker does with one bundle of images; and how it learns that its run was stopped."""

from __future__ import annotations

import pickle
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from ..jobs import JobControl

_REMEMBERED = 64  # runs that were stopped


@dataclass(frozen=True, slots=True)
class Done:
    """The result of one image: a small value, or why there is none.

    Parameters
    ----------
    index : int
        Of the image in its bundle, from 0.
    value : object
        Keys, counts, run lengths: never pixels or tensors.
    error, error_type : str
        The reason of a failure and the name of its class; "" for a success.
    ms : float
        Milliseconds this image took.
    """

    index: int
    value: Any = None
    error: str = ""
    error_type: str = ""
    ms: float = 0.0


class Work(Protocol):
    """What is done with the images of a bundle, on a worker; it travels there pickled, so it is small."""

    def open(self) -> object:
        """Load what all bundles share, once a process, such as the model; an error is of the worker, not an image."""
        ...

    def __call__(self, items: Sequence[Any], control: JobControl) -> Iterator[Done]:
        """The images of a bundle in any order, each with one result; ends early once `control` is cancelled."""
        ...


@dataclass(frozen=True)
class Bundle:
    """The images that a worker gets at once.

    Parameters
    ----------
    run : str
        The run it belongs to, by which it is stopped.
    work : bytes
        A pickled `Work`.
    items : tuple
        The images, as the work takes them.
    """

    run: str
    work: bytes
    items: tuple[Any, ...]


@dataclass(frozen=True)
class BundleResult:
    """The results of a bundle; those of its images that are missing were stopped and have to be done again.

    Parameters
    ----------
    done : tuple of Done
    seconds : float
        For these images, without loading the model.
    unfit : str
        Why this worker can do no work of this kind; "" if it can.
    """

    done: tuple[Done, ...]
    seconds: float
    unfit: str = ""


def run_bundle(bundle: Bundle) -> BundleResult:
    """Do a bundle's images, on the worker that calls this.

    Examples
    --------
    >>> class Square:
    ...     def open(self): pass
    ...     def __call__(self, items, control):
    ...         yield from (attempt(index, lambda: item * item) for index, item in enumerate(items))
    >>> import sys; vars(sys.modules[__name__])["Square"] = Square  # as if it were a class of this module
    >>> [done.value for done in run_bundle(Bundle("run", pickle.dumps(Square()), (2, 3))).done]
    [4, 9]
    """
    with _control_of(bundle.run) as control:
        if control.cancelled:
            return BundleResult((), 0.0)
        try:
            work = _work(bundle.work)
            work.open()
        except Exception as error:
            return BundleResult((), 0.0, f"{type(error).__name__}: {error}")
        started = time.perf_counter()
        done = tuple(work(bundle.items, control))
        return BundleResult(done, time.perf_counter() - started)


def attempt(index: int, call: Callable[[], Any]) -> Done:
    """The `Done` of one image: what a call returns, or the error it raises.

    >>> attempt(3, lambda: 1 / 0).error
    'division by zero'
    """
    started = time.perf_counter()
    try:
        value = call()
    except Exception as error:
        # Of this image alone: the others of the bundle go on, and the event of this one has the reason.
        return Done(index, None, str(error) or repr(error), type(error).__name__, _ms_since(started))
    return Done(index, value, ms=_ms_since(started))


def stop_run(run: str) -> None:
    """Stop the bundles of a run in this process after their current image, and those that come later at once."""
    with _lock:
        _stopped[run] = None
        while len(_stopped) > _REMEMBERED:
            _stopped.popitem(last=False)
        for control in _running.get(run, ()):
            control.cancel()


_lock = threading.Lock()
_stopped: OrderedDict[str, None] = OrderedDict()
_running: dict[str, list[JobControl]] = {}


@contextmanager
def _control_of(run: str) -> Iterator[JobControl]:
    control = JobControl()
    with _lock:
        if run in _stopped:
            control.cancel()
        _running.setdefault(run, []).append(control)
    try:
        yield control
    finally:
        with _lock:
            _running[run].remove(control)
            if not _running[run]:
                del _running[run]


@lru_cache(maxsize=4)
def _work(pickled: bytes) -> Work:
    """Read once a process: a template in it may be larger than the images of a bundle."""
    work: Work = pickle.loads(pickled)
    return work


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
