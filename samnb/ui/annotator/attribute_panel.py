"""`AttributePanel`: the attributes of one object as buttons, lists and fields. It knows no session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import ipywidgets

from ...records import CHOICE, FLAG, AttributeRecord
from ..common import style


class AttributePanelActions(Protocol):
    """The calls that the panel makes."""

    def set_attribute(self, name: str, value: bool | str) -> None: ...
    def add_attribute(self, text: str) -> None: ...


class AttributePanel(ipywidgets.Box):
    """A control for each declared attribute, and a field that declares one; hidden while nothing is declared or asked.

    Parameters
    ----------
    actions : AttributePanelActions
    """

    def __init__(self, actions: AttributePanelActions):
        self._actions = actions
        self._records: tuple[AttributeRecord, ...] = ()
        self._controls: dict[str, Any] = {}
        self._filling = False
        self._new = ipywidgets.Text(placeholder="occluded, or side: left, right", continuous_update=False)
        self._new.tooltip = (
            "A new attribute, then Enter: occluded (yes or no), side: left, right (a choice), note: (text)"
        )
        self._new.add_class("samnb-new-attribute")
        self._new.observe(self._on_new, "value")
        style.show(self._new, False)
        self._add = style.tool("", self.toggle_new, "Declare an attribute", "samnb-plain", icon="plus")
        self._title = style.html(style.span("attributes", "label"), "samnb-grow")
        self._head = style.box(self._title, self._add, classes=("samnb-entry",))
        super().__init__([self._head, self._new])
        self.add_class("samnb-attributes")

    def show(self, records: Sequence[AttributeRecord], values: Mapping[str, bool | str] | None) -> None:
        """These attributes, with the values of the object; None: there is no object, and nothing can be set."""
        if tuple(records) != self._records:
            self._records = tuple(records)
            for control in self._controls.values():
                control.close()
            self._controls = {record.name: self._control(record) for record in records}
            style.set_children(self, (self._head, *self._controls.values(), self._new))
        self._filling = True
        try:
            for record in records:
                self._fill(record, (values or {}).get(record.name), enabled=values is not None)
        finally:
            self._filling = False

    def toggle_new(self) -> None:
        """Open or close the field that declares an attribute."""
        style.show(self._new, self._new.layout.display == "none")

    def _control(self, record: AttributeRecord) -> Any:
        if record.kind == FLAG:
            control: Any = style.tool(record.name, lambda: self._toggle(record.name), "")
        elif record.kind == CHOICE:
            control = ipywidgets.Dropdown(
                options=[("–", ""), *((c, c) for c in record.choices)], description=record.name
            )
        else:
            control = ipywidgets.Text(description=record.name, continuous_update=False)
        if record.kind != FLAG:
            control.tooltip = f"{record.name} of this object"
            control.observe(lambda change: self._set(record.name, change["new"]), "value")
        return control

    def _fill(self, record: AttributeRecord, value: bool | str | None, *, enabled: bool) -> None:
        control = self._controls[record.name]
        control.disabled = not enabled
        if record.kind == FLAG:
            style.set_class(control, "samnb-chosen", bool(value))
            control.tooltip = f"{record.name}: {'yes' if value else 'no'}"
        elif record.kind == CHOICE and value and value not in record.choices:
            # A choice that was there when it was set.
            control.options = [*control.options, (value, value)]
            control.value = value
        else:
            control.value = value or ""

    def _toggle(self, name: str) -> None:
        chosen = "samnb-chosen" in self._controls[name]._dom_classes
        self._actions.set_attribute(name, not chosen)

    def _set(self, name: str, value: str | None) -> None:
        if not self._filling:
            self._actions.set_attribute(name, value or "")

    def _on_new(self, change: dict[str, Any]) -> None:
        text = change["new"].strip()
        if text:
            self._new.value = ""
            self.toggle_new()
            self._actions.add_attribute(text)
