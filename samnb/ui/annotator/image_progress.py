"""`ImageProgress`: the state of images: done, empty, skip; and objects copied to the next image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ...cards import count_text
from ...errors import PromptError
from ...records import EMPTY
from ..common.error_line import show_errors
from .history import Change
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ..session_protocol import AnnotatorSession
    from .annotation_set import AnnotationSet
    from .change_follower import ChangeFollower
    from .editor import Editor
    from .image_list import ImageList
    from .layout import AnnotatorLayout
    from .navigation import Navigator
    from .repeat import Repeater


@dataclass(eq=False)
class ImageProgress(AnnotatorPart):
    """Says of the image shown that it is finished, and goes on."""

    session: AnnotatorSession
    editor: Editor
    annotations: AnnotationSet
    image_list: ImageList
    follower: ChangeFollower
    navigator: Navigator
    repeater: Repeater
    layout: AnnotatorLayout

    @show_errors("The image was not marked")
    def mark_image(self, state: str) -> None:
        """Give the image shown a state, "done", "empty" or "skip", and show the next without one.

        An image that has the state already is open again, and stays.
        """
        image = self.editor.image
        if image is None or self.editor.accept_is_pending():
            return
        if self.editor.draft and not self.repeater.begin(partial(self.mark_image, state)):
            return
        if self.editor.draft and state != "skip":
            self.layout.say("an object is not accepted yet: Enter accepts it, Esc lets it go")
            return
        if state == EMPTY and len(self.annotations):
            there = count_text(len(self.annotations), "annotation")
            raise PromptError(f"{image.filename} has {there}, so it is not empty. Delete what is there, or say done.")
        again = self.image_list.state(image) == state
        with self.follower.own_change():
            self.session.mark_image(image, "" if again else state)
        self.image_list.mark_state(image, "" if again else state)
        following = None if again else self.image_list.next_unfinished()
        if following is not None:
            self.navigator.show(following)
        else:
            self.renderer.draw_header()
        left = sum(not self.image_list.state(each) for each in self.image_list.images)
        self.layout.say(f"{image.filename} is {'open again' if again else state} · {left} unfinished")

    @show_errors("The objects were not copied")
    def copy_to_next(self) -> None:
        """Copy the selected annotation, or all of the image shown, to the next image, and show it; one step of undo."""
        image, selected = self.editor.image, self.annotations.selected
        if image is None or self.editor.accept_is_pending():
            return
        chosen = [self.annotations.find(selected)] if selected is not None else self.annotations.in_drawing_order
        following = self.image_list.after(image)
        if not chosen or following is None:
            self.layout.say("nothing to copy" if not chosen else "this is the last image")
            return
        with self.follower.own_change():
            copies = self.session.copy_annotations(chosen, following)
        self.navigator.show(following)
        self.editor.history.do("copy", self.editor.draft, [Change(None, copy) for copy in copies])
        self.renderer.apply(())
        self.layout.say(f"{len(copies)} copied from {image.filename} · Z takes them back")
