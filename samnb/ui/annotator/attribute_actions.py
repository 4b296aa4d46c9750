"""`AttributeActions`: sets attributes of the object being edited, or of the selected annotation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import PromptError
from ...records import CHOICE, FLAG, TEXT
from ..common.error_line import show_errors
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ..session_protocol import AnnotatorSession
    from .annotation_actions import AnnotationActions
    from .annotation_set import AnnotationSet
    from .change_follower import ChangeFollower
    from .editor import Editor
    from .layout import AnnotatorLayout


@dataclass(eq=False)
class AttributeActions(AnnotatorPart):
    """Changes attributes in the session and on the screen."""

    session: AnnotatorSession
    editor: Editor
    annotations: AnnotationSet
    follower: ChangeFollower
    actions: AnnotationActions
    layout: AnnotatorLayout

    @show_errors("The attribute was not set")
    def set_attribute(self, name: str, value: bool | str) -> None:
        """Set an attribute of the object being edited, for when it is accepted; else of the selected annotation."""
        values = self.renderer.attribute_values
        if values is None:
            self.layout.say("no object: click one, or select an annotation")
        elif values.get(name, "" if isinstance(value, str) else False) != value:
            new = {**values, name: value}
            if self.editor.draft:
                self.editor.history.amend(replace(self.editor.draft, attributes=tuple(new.items())))
                self.renderer.draw_attributes()
            else:
                annotation = self.annotations.find(self.annotations.selected or 0)
                self.actions.change("attribute", annotation, attributes=new)
            self.layout.say(f"{name}: {('yes' if value else 'no') if isinstance(value, bool) else value or 'none'}")

    @show_errors("The attribute was not declared")
    def add_attribute(self, text: str) -> None:
        """Declare an attribute: "occluded" is a flag, "side: left, right" a choice, "note:" a text."""
        name, colon, choices = text.partition(":")
        options = [choice.strip() for choice in choices.split(",") if choice.strip()]
        if not name.strip():
            raise PromptError("attribute: expected a name, such as 'occluded', 'side: left, right' or 'note:'.")
        with self.follower.own_change():
            kind = CHOICE if options else TEXT if colon else FLAG
            self.session.add_attribute(name.strip(), kind=kind, choices=options)
        self.follower.renew_categories()
        self.renderer.draw_attributes()
