"""`ChangeFollower`: brings an annotator up to date when others change annotations, drafts or embeddings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..common.own_changes import OwnChanges

if TYPE_CHECKING:
    from ...records import ImageRecord
    from ..common.background import LatestOnlyWorker
    from ..session_protocol import AnnotatorSession
    from .annotation_set import AnnotationSet
    from .category_palette import Palette
    from .editor import Editor
    from .history import EditState
    from .rendering import Renderer


_log = logging.getLogger("samnb.widgets")

# Priorities of the worker: each call has one of its own, since a later call replaces the one that waits. 1 and 2 are
# those of the outlines.
_ANNOTATIONS, _COUNTS, _BADGES, _OPENED, _LOOKED = 0, 4, 5, 6, 8

PAUSE = 0.3
"""Seconds: changes of other images within it are counted together."""


class ChangeFollower:
    """Listens to the session and to its other annotators; reads what changed on the worker.

    Parameters
    ----------
    session : AnnotatorSession
    edit_state : EditState
        Notifies of drafts that other annotators changed.
    editor : Editor
    annotations : AnnotationSet
    palette : Palette
    renderer : Renderer
    worker : LatestOnlyWorker
    tell : callable
        Shows what others did in the status line.
    """

    def __init__(
        self,
        session: AnnotatorSession,
        edit_state: EditState,
        editor: Editor,
        annotations: AnnotationSet,
        palette: Palette,
        renderer: Renderer,
        worker: LatestOnlyWorker,
        *,
        tell: Callable[[str], None],
    ):
        self._session, self._edit_state, self._lock = session, edit_state, edit_state.lock
        self._editor, self._annotations, self._palette = editor, annotations, palette
        self._renderer, self._worker = renderer, worker
        self._own, self._tell = OwnChanges(), tell
        self._others_changed = False

        self.on_first: Callable[[], None] = lambda: None
        """Called when there may be images, and none is shown yet."""

    def start(self) -> None:
        """Subscribe."""
        self._session.changes.subscribe(self.annotations_changed)
        self._edit_state.changes.subscribe(self._draft_changed)
        self._session.encoding_changes.subscribe(self.encoding_changed)

    def stop(self) -> None:
        """Unsubscribe."""
        self._session.changes.unsubscribe(self.annotations_changed)
        self._edit_state.changes.unsubscribe(self._draft_changed)
        self._session.encoding_changes.unsubscribe(self.encoding_changed)

    def own_change(self) -> AbstractContextManager[None]:
        """Changes inside the block are made by this annotator: they are not read again."""
        return self._own.block()

    def renew_categories(self) -> dict[str, str]:
        """Read categories and attributes again; returns the new names of categories renamed elsewhere.

        The steps to undo get these names too.
        """
        chosen = self._palette.chosen
        self._renderer.attributes = self._session.attributes()
        renamed = self._palette.renew(self._session.category_records())
        if renamed:
            self._edit_state.rewrite(partial(with_new_name, renamed))
        if chosen != self._palette.chosen and self._editor.image is not None:
            what = "renamed" if chosen in renamed else "removed"
            self._tell(f"{chosen} was {what} elsewhere: {self._palette.chosen} is chosen now")
        return renamed

    def annotations_changed(self, image_id: str) -> None:
        """Read the annotations of the image shown again, or count those of others; called on any thread."""
        image, version = self._editor.image, self._annotations.version
        if self._own.here:
            return
        if image is None:
            self._worker.submit(lambda: None, self._show_first, priority=_ANNOTATIONS)
            return
        if image_id in ("", image.id):
            work = partial(self._session.annotations, image=image)
            self._worker.submit(work, partial(self._take_annotations, image, version), priority=_ANNOTATIONS)
        else:
            self._others_changed = True
            # An apply changes every image: the changes of a moment are counted together.
            self._worker.submit(partial(time.sleep, PAUSE), self._count, priority=_COUNTS)

    def look(self) -> None:
        """Read the annotations again, and draw them if they are others: what another kernel does is not reported."""
        image, version = self._editor.image, self._annotations.version
        if image is not None:
            work = partial(self._session.annotations, image=image)
            self._worker.submit(work, partial(self._take_looked, image, version), priority=_LOOKED)

    def _take_looked(self, image: ImageRecord, version: int, found: Any, error: Exception | None) -> None:
        with self._lock:
            if error is not None or not self._annotations.same(found):
                self._take_annotations(image, version, found, error)

    def _take_annotations(self, image: ImageRecord, version: int, found: Any, error: Exception | None) -> None:
        if error is not None:
            self._renderer.show_error("The annotations could not be read again", error)
            return
        with self._lock:
            if version != self._annotations.version:
                # Something was done here after they were read: they may lack it.
                self.annotations_changed(image.id)
            elif self._editor.image is not None and self._editor.image.id == image.id:
                self._annotations.replace(found)
                self.renew_categories()
                self._renderer.apply(())

    def _show_first(self, _: object, error: Exception | None) -> None:
        with self._lock:
            if self._editor.image is None:
                self.on_first()

    def badges_changed(self) -> None:
        """Draw the filmstrip's badges when there is time."""
        self._worker.submit(lambda: None, self._draw_badges, priority=_BADGES)

    def note_opened(self, image: ImageRecord) -> None:
        """Record where the work is, when there is time: it must not delay a picture, nor fail it."""
        self._worker.submit(partial(self._session.note_opened, image), self._noted, priority=_OPENED)

    def _noted(self, _: object, error: Exception | None) -> None:
        if error is not None:
            _log.warning("where the work was left could not be saved", exc_info=error)

    def _count(self, _: object, error: Exception | None) -> None:
        with self._lock:
            if error is None and self._editor.image is not None:
                others_changed, self._others_changed = self._others_changed, False
                self._renderer.draw_header(read=others_changed)

    def _draft_changed(self, image_id: str) -> None:
        """Another annotator of this session changed the draft on that image."""
        with self._lock:
            if not self._editor.notifying and self._editor.image is not None and self._editor.image.id == image_id:
                self._editor.changed()

    def encoding_changed(self, image: ImageRecord, state: str) -> None:
        """An image was encoded, or will be: draw its badge when there is time; called on any thread."""
        self.badges_changed()

    def _draw_badges(self, _: object, error: Exception | None) -> None:
        self._renderer.draw_badges()
        self._worker.submit(partial(time.sleep, PAUSE), self._count, priority=_COUNTS)


def with_new_name(renamed: Mapping[str, str], annotation: Any) -> Any:
    """An annotation, of the new name of its category if that was renamed."""
    if annotation.category not in renamed:
        return annotation
    return type(annotation)(replace(annotation.record, category=renamed[annotation.category]))
