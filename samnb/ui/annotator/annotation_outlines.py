"""`AnnotationOutlines`: the outlines of the annotations of one image, made now or on a worker, finer when zoomed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...masks import Polygon

if TYPE_CHECKING:
    from threading import RLock

    from ...annotations.annotation import Annotation
    from ...masks.part import MaskPart
    from ..common.background import LatestOnlyWorker


Outlines = tuple[Polygon, ...]

# An outline of a large picture takes a millisecond: this number is computed at once, the others on the worker.
_AT_ONCE = 50
_REST, _FINER = 1, 2


class AnnotationOutlines:
    """Caches the outlines of annotations as long as these do not change.

    Parameters
    ----------
    outline : callable
        The outlines of a mask at the present zoom; called on any thread.
    worker : LatestOnlyWorker
    lock : RLock
        Held while outlines that the worker made are taken over, and by the caller of every method.
    on_ready : callable
        Called when the worker has computed more.
    on_error : callable
        Called with the error of the worker.
    """

    def __init__(
        self,
        outline: Callable[[MaskPart], Outlines],
        worker: LatestOnlyWorker,
        lock: RLock,
        *,
        on_ready: Callable[[], None],
        on_error: Callable[[Exception], None],
    ):
        self._outline, self._worker, self._lock = outline, worker, lock
        self._on_ready, self._on_error = on_ready, on_error
        self._image = 0
        self.clear()

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        """Clear, for another image."""
        self._image += 1
        self._known: dict[int, tuple[object, Outlines]] = {}
        self._fine: set[int] = set()
        self._coming: set[int] = set()

    def get(self, annotation: Annotation) -> Outlines | None:
        """The outlines of an annotation, if they are known."""
        version, outlines = self._known.get(annotation.id, (None, ()))
        return outlines if version == version_of(annotation) else None

    def update(self, annotations: Sequence[Annotation]) -> None:
        """Make the outlines that are missing of these: of the last ones now, of the others on the worker."""
        new = [each for each in reversed(annotations) if self.get(each) is None]
        self._known = {each.id: self._known[each.id] for each in annotations if self.get(each) is not None}
        self._known |= self._made(new[:_AT_ONCE])
        later = new[_AT_ONCE:]
        ids = {annotation.id for annotation in later}
        if ids - self._coming:
            self._coming = ids
            self._worker.submit(partial(self._made, later), partial(self._take, self._image), priority=_REST)

    def refine(self, annotations: Iterable[Annotation]) -> None:
        """Make finer outlines of these on the worker, after the view was zoomed in."""
        wanted = [each for each in annotations if each.id not in self._fine or self.get(each) is None]
        if wanted:
            self._worker.submit(
                partial(self._made, wanted), partial(self._take, self._image, finer=True), priority=_FINER
            )

    def _made(self, annotations: Iterable[Annotation]) -> dict[int, tuple[object, Outlines]]:
        return {each.id: (version_of(each), self._outline(each.part)) for each in annotations}

    def _take(self, image: int, outlined: Any, error: Exception | None, *, finer: bool = False) -> None:
        with self._lock:
            if image != self._image:
                return
            if finer:
                self._fine |= set(outlined or ())
            else:
                self._coming = set()
            if error is not None:
                self._on_error(error)
                return
            self._known |= outlined
            self._on_ready()


def version_of(annotation: Annotation) -> object:
    """What differs when the mask of an annotation may have changed."""
    return annotation.updated_at, annotation.created_at, annotation.area
