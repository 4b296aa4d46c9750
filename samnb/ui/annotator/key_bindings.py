"""The table of the annotator's keys, used by the handler, the help overlay and the documentation. No widgets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """One line of the help, and its action.

    Parameters
    ----------
    group, shown, does : str
        Text of the help: the group, the keys, the effect.
    names : tuple of str
        `KeyboardEvent.key` in lower case; any of them.
    method : str
        Of the annotator.
    arguments : tuple
        For that method; "digit" stands for the digit pressed.
    ctrl : bool
        Ctrl, or Cmd on a Mac.
    shift : bool or None
        None: with or without.
    alt : bool
    released : tuple
        Arguments for the same method when the key is released; empty: the release means nothing.
    """

    group: str
    shown: str
    does: str
    names: tuple[str, ...]
    method: str
    arguments: tuple[object, ...] = ()
    ctrl: bool = False
    shift: bool | None = None
    alt: bool = False
    released: tuple[object, ...] = ()

    def holds(self, name: str, *, ctrl: bool, shift: bool, alt: bool) -> bool:
        """True if the key and its modifiers match."""
        return name.lower() in self.names and (ctrl, alt) == (self.ctrl, self.alt) and self.shift in (None, shift)


@dataclass(frozen=True)
class Command:
    """A method of the annotator and what to call it with."""

    method: str
    arguments: tuple[object, ...] = ()


# The keys that move the keyboard's cursor, and where; the first one has the text.
_ARROWS = {"arrowleft": (-1, 0), "arrowright": (+1, 0), "arrowup": (0, -1), "arrowdown": (0, +1)}

_OBJECT, _TOOLS, _SAVED, _IMAGES, _VIEW = "This object", "Tools", "Annotations", "Images", "View"


def _cursor_text(name: str) -> tuple[str, str]:
    return (
        ("Shift ← ↑ ↓ →", "move a cursor over the picture, for the keyboard (with Ctrl: by one pixel)")
        if name == "arrowleft"
        else ("", "")
    )


KEYS: tuple[Key, ...] = (
    Key(_OBJECT, "Enter", "accept the mask, or the selected unsure find", ("enter",), "accept", shift=False),
    Key(_OBJECT, "Esc", "clear, begin again", ("escape",), "clear"),
    Key(_OBJECT, ", .", "another of the candidate masks (also Alt 1, 2, 3)", (",",), "choose_step", (-1,)),
    Key(_OBJECT, "", "", (".",), "choose_step", (+1,)),
    Key(_OBJECT, "", "", ("1", "2", "3"), "choose_number", ("digit",), alt=True),
    Key(_OBJECT, "Ctrl Z", "undo (also Z, Backspace)", ("z",), "undo", ctrl=True, shift=False),
    Key(_OBJECT, "", "", ("z", "backspace"), "undo", shift=False),
    Key(_OBJECT, "Ctrl Shift Z", "redo (also Shift Z, Ctrl Y)", ("z",), "redo", ctrl=True, shift=True),
    Key(_OBJECT, "", "", ("z",), "redo", shift=True),
    Key(_OBJECT, "", "", ("y",), "redo", ctrl=True),
    Key(_OBJECT, "O", "a new box, or a click elsewhere, first accepts this mask", ("o",), "toggle_accept_on_next"),
    Key(_OBJECT, "R", "the same again here: a box as large as the last object's", ("r",), "same_again", shift=False),
    Key(_TOOLS, "P", "prompt with points and boxes", ("p",), "take_tool", ("prompt",)),
    Key(_TOOLS, "V", "select annotations", ("v",), "take_tool", ("select",)),
    Key(_TOOLS, "B", "brush", ("b",), "take_tool", ("brush",)),
    Key(_TOOLS, "E", "eraser", ("e",), "take_tool", ("erase",)),
    Key(
        _TOOLS,
        "Q",
        "lasso: draw round what to add, with Shift round what to take away",
        ("q",),
        "take_tool",
        ("lasso",),
    ),
    Key(_TOOLS, "U", "polygon: drag vertices, or click a new one", ("u",), "take_tool", ("polygon",)),
    Key(_TOOLS, "S", "simplify the outline: fewer vertices", ("s",), "simplify_outline"),
    Key(_TOOLS, "A", "all objects that a search finds: click or drag takes them", ("a",), "toggle_proposals"),
    Key(_TOOLS, "L", "objects like the selected one, or like the mask", ("l",), "find_like_selected"),
    Key(_TOOLS, "G", "a click takes all that look alike, or one", ("g",), "toggle_groups"),
    Key(_TOOLS, "[ ]", "smaller, larger brush (also Ctrl wheel)", ("[",), "resize_brush", (-1,)),
    Key(_TOOLS, "", "", ("]",), "resize_brush", (+1,)),
    Key(_TOOLS, "H", "hover: the mask under the mouse, before a click", ("h",), "toggle_hover"),
    *(Key(_TOOLS, *_cursor_text(name), (name,), "move_cursor", way, shift=True) for name, way in _ARROWS.items()),
    *(
        Key(_TOOLS, "", "", (name,), "move_cursor", (*way, True), ctrl=True, shift=True)
        for name, way in _ARROWS.items()
    ),
    Key(_TOOLS, "Shift Space", "click at that cursor (with Ctrl: shift-click)", (" ",), "click_at_cursor", shift=True),
    Key(_TOOLS, "", "", (" ",), "click_at_cursor", (True,), ctrl=True, shift=True),
    Key(
        _TOOLS,
        "D",
        "detail: the model sees only what is on the screen",
        ("d",),
        "toggle_detail",
    ),
    Key(
        _SAVED,
        "1 … 9",
        "the category of what comes next, and of the selected annotations",
        tuple("123456789"),
        "choose_category_number",
        ("digit",),
    ),
    Key(_SAVED, "C", "next category (Shift C: the one before)", ("c",), "category_step", (+1,), shift=False),
    Key(_SAVED, "", "", ("c",), "category_step", (-1,), shift=True),
    Key(_SAVED, "I", "search a category by its name, for the same", ("i",), "open_category_search"),
    Key(_SAVED, "Del", "delete the selected annotations, reject unsure finds", ("delete",), "remove_selected"),
    Key(_SAVED, "Ctrl D", "duplicate the selected annotations", ("d",), "duplicate_selected", ctrl=True),
    Key(
        _SAVED,
        "J",
        "join the selected annotations to one (Shift J: split one into its parts)",
        ("j",),
        "merge_selected",
        shift=False,
    ),
    Key(_SAVED, "", "", ("j",), "split_selected", shift=True),
    Key(_SAVED, "Y", "cut the pixels of neighbours out of the selected annotations", ("y",), "subtract_neighbours"),
    Key(
        _SAVED,
        "Shift F10",
        "the menu of the selected annotations (also the menu key)",
        ("f10",),
        "open_menu",
        shift=True,
    ),
    Key(_SAVED, "", "", ("contextmenu",), "open_menu"),
    Key(
        _SAVED, "Shift R", "copy the selected annotation, or all, to the next image", ("r",), "copy_to_next", shift=True
    ),
    Key(_IMAGES, "← →", "the image before, the next one", ("arrowleft",), "previous", shift=False),
    Key(_IMAGES, "", "", ("arrowright",), "next", shift=False),
    Key(_IMAGES, "N", "next unsure find, or next open image: without a state and annotations", ("n",), "next_open"),
    Key(
        _IMAGES,
        "M",
        "this image is done: on to the next unfinished (Shift M: empty)",
        ("m",),
        "mark_image",
        ("done",),
        shift=False,
    ),
    Key(_IMAGES, "", "", ("m",), "mark_image", ("empty",), shift=True),
    Key(_IMAGES, "K", "skip this image: on to the next unfinished", ("k",), "mark_image", ("skip",)),
    Key(_IMAGES, "/", "jump to an image by name", ("/",), "ask_for_name"),
    Key(_VIEW, "F", "fit the picture", ("f",), "fit"),
    Key(_VIEW, "0", "100 %: one image pixel, one screen pixel", ("0",), "actual_size"),
    Key(_VIEW, "+ −", "zoom in, zoom out", ("+", "="), "zoom_in"),
    Key(_VIEW, "", "", ("-", "_", "−"), "zoom_out"),
    Key(_VIEW, "X", "the picture alone, while it is held", ("x",), "hide_masks", (True,), released=(False,)),
    Key(_VIEW, "T", "colours by category, or by object", ("t",), "toggle_color_by"),
    Key(_VIEW, "W", "crosshair", ("w",), "toggle_crosshair"),
    Key(_VIEW, "{ }", "masks less, more opaque (Shift [ ])", ("{",), "change_opacity", (-1,)),
    Key(_VIEW, "", "", ("}",), "change_opacity", (+1,)),
    Key(_VIEW, "?", "this help", ("?",), "toggle_help"),
)
"""In the order of the help; a line without text belongs to the one above it. The first match counts."""

GESTURES: tuple[tuple[str, str], ...] = (
    ("click", "a point on the object"),
    ("shift-click", "a point where the object is not (also right-click)"),
    ("drag", "a box round the object"),
    ("drag a point", "move it"),
    ("drag a box's corner or side", "move it; with Shift: another box, which begins there"),
    ("alt-click a point", "remove it (also right-click)"),
    ("alt-click a mask", "select that annotation, again: the one below it"),
    ("right-click a mask", "its menu, while no object is begun"),
    ("double-click a mask", "edit that annotation again, with its prompt"),
    ("wheel", "zoom at the mouse"),
    ("ctrl-wheel", "size of brush and eraser"),
    ("space-drag", "move the picture (also middle button)"),
    ("drag a vertex", "move it; drag an edge: one more vertex"),
    ("alt-click a vertex", "remove it (also right-click)"),
    (
        "over found objects",
        "click takes one, drag all it touches, shift-click never offers it again, wheel: part to whole",
    ),
)


def command_for(name: str, *, ctrl: bool = False, shift: bool = False, alt: bool = False) -> Command | None:
    """The action of a key; None: it has none.

    Parameters
    ----------
    name : str
        `KeyboardEvent.key`; with Alt the digit of the key, whatever it writes.

    Examples
    --------
    >>> command_for("Z", ctrl=True, shift=True)
    Command(method='redo', arguments=())
    >>> command_for("2", alt=True), command_for("2")
    (Command(method='choose_number', arguments=(2,)), Command(method='choose_category_number', arguments=(2,)))
    >>> command_for("s", ctrl=True)
    """
    for key in KEYS:
        if key.holds(name, ctrl=ctrl, shift=shift, alt=alt):
            return Command(key.method, tuple(int(name) if each == "digit" else each for each in key.arguments))
    return None


def command_on_release(name: str) -> Command | None:
    """The action of a key's release; None: it has none.

    Examples
    --------
    >>> command_on_release("x"), command_on_release("a")
    (Command(method='hide_masks', arguments=(False,)), None)
    """
    return next((Command(key.method, key.released) for key in KEYS if key.released and name.lower() in key.names), None)


def shown_lines(without: Collection[str] = ()) -> list[tuple[str, list[tuple[str, str]]]]:
    """(group, [(keys, what they do)]) in the order of the help, the mouse first; `without` keys that are not ours.

    Those are without Ctrl, Shift and Alt: with them, they are ours.
    """
    lines: dict[str, list[tuple[str, str]]] = {"Mouse": list(GESTURES)}
    for key in KEYS:
        if key.does and (key.ctrl or key.shift or key.alt or key.names[0] not in without):
            lines.setdefault(key.group, []).append((key.shown, key.does))
    return list(lines.items())


def as_markdown() -> str:
    """The table in docs/annotator.md; a test compares the two."""
    rows = [f"| {keys} | {does} |" for _, lines in shown_lines() for keys, does in lines]
    return "\n".join(["| mouse, key | does |", "| --- | --- |", *rows])
