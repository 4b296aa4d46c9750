"""`Navigator`: from image to image: next, back, jump, filter; the image shown is encoded first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..common.error_line import show_errors
from .large_pyramid import for_stage
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ...records import ImageRecord
    from ..session_protocol import AnnotatorSession
    from .annotation_set import AnnotationSet
    from .change_follower import ChangeFollower
    from .editor import Editor
    from .hover import HoverPreview
    from .image_list import ImageList
    from .layout import AnnotatorLayout
    from .unsure import UnsureActions


@dataclass(eq=False)
class Navigator(AnnotatorPart):
    """Shows the images of a dataset, one at a time."""

    session: AnnotatorSession
    image_list: ImageList
    editor: Editor
    annotations: AnnotationSet
    follower: ChangeFollower
    hover: HoverPreview
    layout: AnnotatorLayout
    unsure: UnsureActions

    @show_errors("The next image cannot be shown")
    def next(self) -> None:
        """Show the next image; the draft is kept for a return."""
        self._step(+1)

    @show_errors("The previous image cannot be shown")
    def previous(self) -> None:
        """Show the previous image."""
        self._step(-1)

    @show_errors("The next image cannot be shown")
    def next_open(self) -> None:
        """Select the next unsure find, on this image or on the next that is open or has some.

        An image is open while it has no state and no annotations. After the last one it begins again.
        """
        if self.editor.accept_is_pending() or self.unsure.select_next():
            return
        image = self.image_list.next_open()
        if image is None:
            self.layout.say("no image is open")
        else:
            self.show(image)
            self.unsure.select_next()

    def jump(self, text: str) -> bool:
        """Show the image of that name, or the next whose name begins with the text or contains it; False: none."""
        found = self.image_list.find(text)
        if found is None:
            self.layout.say(f"no image is called {text!r}")
        elif not self.editor.accept_is_pending():
            self.show(found)
        return found is not None

    @show_errors("The filter stays as it is")
    def filter(self, kind: str) -> None:
        """Step through "all" images, or only those of a kind: see `samnb.ui.annotator.image_list.KINDS`."""
        self.image_list.filter(kind)
        self.renderer.draw_header()

    @show_errors("The image cannot be shown")
    def show(self, image: Any) -> None:
        """Show an image, given by file name, id, path or record."""
        record, shown = None if image is None else self.session.image(image), self.editor.image
        moves = record is not None and shown is not None and record.id != shown.id
        if moves and self.editor.accept_is_pending():
            return
        if record is not None:
            # First, so that "next" also leaves an image that cannot be shown.
            self.image_list.go_to(record)
            self._open(record)
        self.renderer.draw_header()

    def _open(self, record: ImageRecord) -> None:
        try:
            picture = for_stage(self.session.large_picture(record) or self.session.pixels(record))
        except Exception:
            self.image_list.mark_failed(record)
            self.renderer.draw_header()
            raise
        self.image_list.mark_failed(record, False)
        annotations = self.session.annotations(image=record)
        self.session.prefetch(record, neighbours=self.image_list.around())
        self.hover.end()
        self.follower.renew_categories()
        self.annotations.replace(annotations)
        self.annotations.selected = None
        self.renderer.annotation_outlines.clear()
        self.layout.stage.show_picture(picture)
        self.editor.image = record
        self.renderer.draw_annotations()
        self.editor.open(record)
        self.renderer.on_annotations()
        self.renderer.on_opened(record)
        self.follower.note_opened(record)

    def _step(self, by: int) -> None:
        if self.editor.accept_is_pending():
            return
        image = self.image_list.step(by)
        if image is not None:
            self.show(image)
        else:
            self.layout.say("this is the last image" if by > 0 else "this is the first image")
