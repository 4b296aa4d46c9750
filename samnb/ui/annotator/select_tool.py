"""`SelectTool`: selects annotations with the pointer, and highlights what is under it. In image pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .gestures import Click, DoubleClick, Hover, HoverEnd
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .gestures import Gesture
    from .object_actions import ObjectActions


@dataclass(eq=False)
class SelectTool(AnnotatorPart):
    """Selects annotations; a drag moves the picture."""

    annotations: AnnotationSet
    actions: AnnotationActions
    objects: ObjectActions

    def handle(self, gesture: Gesture) -> bool:
        """A click selects, with Shift one more, with Alt what lies below; right-click: menu; double click: edit."""
        match gesture:
            case Click(right=True):
                self.objects.open_menu_at(gesture.x, gesture.y)
            case Click(background=True):
                self.actions.select_more_at(gesture.x, gesture.y)
            case Click():
                self.actions.select_at(gesture.x, gesture.y, below=gesture.alt)
            case DoubleClick():
                self.actions.edit_at(gesture.x, gesture.y)
            case Hover():
                found = self.annotations.topmost(gesture.x, gesture.y)
                self.renderer.highlight(None if found is None else found.id)
            case HoverEnd():
                self.renderer.highlight(None)
            case _:
                return False
        return True
