"""From image to image: next, back, jump, filter; what is looked at is encoded first."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from ..common.error_line import show_errors
from .rendering import COUNTS, MOMENT, Renderer

if TYPE_CHECKING:
    from ...catalog import ImageRecord

__all__ = ["Navigator"]

# A priority of its own: another call waiting with the same one would be dropped.
_LAMPS = 5


class Navigator(Renderer):
    """The images of the dataset, one at a time."""

    @show_errors("The next image cannot be shown")
    def next(self) -> None:
        """The next image; what is in hand stays in hand for a return."""
        self._step(+1)

    @show_errors("The previous image cannot be shown")
    def previous(self) -> None:
        """The previous image."""
        self._step(-1)

    @show_errors("The next image cannot be shown")
    def next_open(self) -> None:
        """The next image without annotations, from the start again after the last one."""
        with self._lock:
            if self._waits_for_accept():
                return
            image = self._image_list.next_open()
            if image is None:
                self._layout.say("all images have annotations")
            else:
                self.show(image)

    def jump(self, text: str) -> bool:
        """The image of that name, or the next whose name begins with the text or holds it; False: there is none."""
        with self._lock:
            found = self._image_list.find(text)
            if found is None:
                self._layout.say(f"no image is called {text!r}")
            elif not self._waits_for_accept():
                self.show(found)
            return found is not None

    @show_errors("The filter stays as it is")
    def filter(self, kind: str) -> None:
        """Step through "all" images, or only those that are "open", "annotated" or "failed"."""
        with self._lock:
            self._image_list.filter(kind)
            self._draw_header()

    @show_errors("The image cannot be shown")
    def show(self, image: Any) -> None:
        """That image, by file name, id, path or record."""
        with self._lock:
            record = None if image is None else self.session.image(image)
            if (
                record is not None
                and self.image is not None
                and record.id != self.image.id
                and self._waits_for_accept()
            ):
                return
            if record is not None:
                # First, so that "next" also leaves an image that cannot be shown.
                self._image_list.go_to(record)
                self._open(record)
            elif self._image_list.first is None:
                self._layout.error_line.say(
                    'No images here yet: add some with session.add("photos/") and run this cell again.'
                )
            self._draw_header()

    def _open(self, record: ImageRecord) -> None:
        try:
            pixels = self.session.pixels(record)
        except Exception:
            self._image_list.mark_failed(record)
            self._draw_header()
            raise
        self._image_list.mark_failed(record, False)
        annotations = self._read(record)
        if hasattr(self.session, "look_at"):
            self.session.look_at(record, neighbours=self._image_list.around())
        self._hover.end()
        self._palette.renew(self.session.category_records())
        self._annotations, self._outlined, self._selected = annotations, {}, None
        self._fine = set()
        self._layout.stage.show_picture(pixels)
        self._editor.image = record
        self._draw_annotations()
        self._editor.open(record)

    def _step(self, by: int) -> None:
        with self._lock:
            if self._waits_for_accept():
                return
            image = self._image_list.step(by)
            if image is not None:
                self.show(image)
            else:
                self._layout.say("this is the last image" if by > 0 else "this is the first image")

    # -- news of others --------------------------------------------------------------------------------

    def _listen(self) -> None:
        self.session.changes.subscribe(self._told)
        self._edit_state.changes.subscribe(self._hand_changed)
        ahead = getattr(self.session, "_prefetcher", None)
        if ahead is not None:
            ahead.subscribe(self._lamp_changed)

    def _fall_silent(self) -> None:
        self.session.changes.unsubscribe(self._told)
        self._edit_state.changes.unsubscribe(self._hand_changed)
        ahead = getattr(self.session, "_prefetcher", None)
        if ahead is not None:
            ahead.unsubscribe(self._lamp_changed)

    def _lamp_changed(self, image: ImageRecord, lamp: str) -> None:
        """An image was encoded, or will be, on whatever thread: the badges follow when there is time."""
        self._refreshing.submit(lambda: None, self._draw_badges, priority=_LAMPS)

    def _draw_badges(self, _: object, error: Exception | None) -> None:
        with self._lock:
            self._layout.strip.refresh()
        self._refreshing.submit(partial(time.sleep, MOMENT), self._count_again, priority=COUNTS)
