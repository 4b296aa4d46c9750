"""The Annotator: a picture, a hand, and masks that are kept in the session."""

from __future__ import annotations

import threading
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from ..images import encode_png, thumbnail
from ..masks import Polygon, mask_polygons
from ..prompts import BACKGROUND, FOREGROUND, Prediction, Prompt
from . import style
from .board import Board
from .canvas import Shape
from .editing import Editing
from .frame import stage_size
from .gestures import BoxDrag, Click
from .notice import shows_errors
from .pages import Pages
from .palette import Palette
from .panels import Entry
from .picture import draw_annotated

if TYPE_CHECKING:
    from ..catalog import ImageRecord
    from ..reports import Annotation
    from ..session import Session

__all__ = ["Annotator"]


class Annotator(ipywidgets.VBox):
    """Click an object, see its mask, accept it.

    Everything the mouse does is a method here, in image pixels, and works without a browser. Handlers never raise:
    what goes wrong is shown in a red line in the widget and logged to "samnb.widgets".

    Parameters
    ----------
    session : Session
        Where images come from and annotations go to.
    image : str, path or ImageRecord, optional
        The first one shown; None: the first of the dataset.
    dataset : str, optional
        None: all images of the session, or those of `image`'s dataset.

    Raises
    ------
    UnknownName
        No such image or dataset.
    """

    def __init__(self, session: Session, *, image: Any = None, dataset: str | None = None):
        self.session = session
        first = None if image is None else session.image(image)
        self.dataset = dataset if dataset is not None or first is None else first.dataset
        self._lock = threading.RLock()
        self._pages = Pages(session, self.dataset)
        self._palette = Palette(session.categories())
        self._annotations: list[Annotation] = []
        self._shapes: dict[int, Shape] = {}
        self._editing = Editing(
            session,
            self._lock,
            on_change=self._draw_hand,
            on_failure=partial(self.show_error, "No mask for this prompt"),
        )
        self._board = Board(self, stage_size(self._pages.sizes, style.PICTURE_SIZE))
        super().__init__(self._board.parts)
        self.add_class("samnb")
        self.show(first if first is not None else self._pages.first)

    # -- what the hand does, in image pixels ---------------------------------------------------------

    @shows_errors("This click was not used")
    def click(self, x: float, y: float, background: bool = False) -> None:
        """Add a point: on the object, or with `background` where the object is not."""
        with self._lock:
            if self._waits_for_accept():
                return
            self._editing.push(self.prompt.with_point(x, y, label=BACKGROUND if background else FOREGROUND))

    @shows_errors("This box was not used")
    def drag_box(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Put a box round the object, from any corner to the opposite one; replaces an earlier box."""
        with self._lock:
            self._board.stage.show_prompt(self.prompt)
            if self._waits_for_accept():
                return
            self._editing.push(self.prompt.with_box((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))))

    @shows_errors("Undo failed")
    def undo(self) -> None:
        """Take the last click, box or clear back."""
        self._editing.undo()

    @shows_errors("Clear failed")
    def clear(self) -> None:
        """Start the object in hand again; undo brings it back."""
        self._editing.clear()

    @shows_errors("No such mask")
    def choose(self, index: int) -> None:
        """Take another one of the candidate masks, counted from 0."""
        self._editing.choose(index)

    @shows_errors("Nothing was accepted")
    def accept(self) -> None:
        """Keep the mask in hand as an annotation; while it is still computed, keep it as soon as it is there."""
        with self._lock:
            if not self.prompt:
                self._board.say("nothing to accept yet: click an object first")
            elif self.prediction is None:
                self._editing.accept_when_ready = True
                self._board.say("will be accepted when its mask is there …")
            else:
                self._accept(self.prediction)

    @shows_errors("The annotation was not deleted")
    def remove(self, annotation_id: int) -> None:
        """Delete an annotation of this image."""
        with self._lock:
            self.session.remove(annotation_id)
            self._annotations_changed()

    @shows_errors("The next image cannot be shown")
    def next(self) -> None:
        """The next image; what is in hand stays in hand for a return."""
        self._step(+1)

    @shows_errors("The previous image cannot be shown")
    def previous(self) -> None:
        """The previous image."""
        self._step(-1)

    @shows_errors("The image cannot be shown")
    def show(self, image: Any) -> None:
        """That image, by file name, id, path or record."""
        with self._lock:
            record = None if image is None else self.session.image(image)
            if record is not None:
                # First, so that "next" also leaves an image that cannot be shown.
                self._pages.go_to(record)
                pixels = self.session.pixels(record)
                annotations = self.session.annotations(image=record)
                self._annotations = annotations
                self._board.stage.show_picture(pixels)
                self._draw_annotations()
                self._editing.open(record)
            elif self._pages.first is None:
                self._board.notice.say(
                    'No images here yet: add some with session.add("photos/") and run this cell again.'
                )
            self._draw_header()

    @shows_errors("This key did nothing")
    def key(self, name: str, ctrl: bool = False) -> None:
        """What a key does while the pointer is over the picture."""
        actions = {"Enter": self.accept, "Escape": self.clear, "ArrowLeft": self.previous, "ArrowRight": self.next}
        if name.lower() == "z" or name == "Backspace":
            self.undo()
        elif ctrl:
            return
        elif name in actions:
            actions[name]()
        elif name in ("1", "2", "3"):
            self.choose(int(name) - 1)

    @property
    def category(self) -> str:
        """What the next accepted mask is; a new name becomes a new category."""
        return self._palette.chosen

    @category.setter
    def category(self, name: str) -> None:
        with self._lock:
            self._palette.choose(name)
            self._board.show_categories(self._palette.names, self._palette.chosen)

    # -- what there is to see --------------------------------------------------------------------------

    @property
    def image(self) -> ImageRecord | None:
        """The image shown."""
        return self._editing.image

    @property
    def prompt(self) -> Prompt:
        """The prompt in hand."""
        return self._editing.prompt

    @property
    def prediction(self) -> Prediction | None:
        """The prediction of the prompt in hand; None while there is none yet."""
        return self._editing.prediction

    @property
    def error(self) -> str:
        """The red line, "" when there is none."""
        return self._board.notice.text

    @property
    def status(self) -> str:
        """The left part of the status line."""
        return self._board.said

    def snapshot(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB pixels of the image with its annotations, the mask and the prompt in hand."""
        with self._lock:
            if self.image is None:
                return np.full((64, 96, 3), 240, np.uint8)
            masks = [annotation.mask for annotation in self._annotations]
            colors = [self._palette.color(a.category) for a in self._annotations]
            if self._editing.shown is not None:
                masks, colors = [*masks, self._editing.shown.masks[self._editing.chosen]], [*colors, style.ACCENT]
            return draw_annotated(self.session.pixels(self.image), masks, colors, self.prompt)

    def wait(self, timeout: float = 30.0) -> None:
        """Block until no mask is being computed and show what came; for scripts and tests."""
        self._editing.wait(timeout)

    def close(self) -> None:
        """Let go of the browser's objects."""
        # ipywidgets also closes what never came into being, when a constructor raised.
        if hasattr(self, "_board"):
            self._board.close()
        super().close()

    def __repr__(self) -> str:
        where = self.image.filename if self.image is not None else "no images"
        place = " · ".join(filter(None, [self.session.name, self.dataset]))
        return f"<Annotator {place}: {where}, {len(self._annotations)} annotations>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        # For pages without a kernel, such as a notebook on a code hosting site: the widget as a still picture.
        still = encode_png(thumbnail(self.snapshot(), style.PICTURE_SIZE[0]))
        return {**bundle, "text/plain": repr(self), "image/png": b64encode(still).decode()}

    def show_error(self, what: str, error: Exception) -> None:
        """Show the red line."""
        with self._lock:
            self._board.notice.show(what, error)

    # -- the mouse, the category field -----------------------------------------------------------------

    @shows_errors("This was not understood")
    def gesture(self, gesture: Click | BoxDrag) -> None:
        """What the mouse did on the stage."""
        if isinstance(gesture, Click):
            self.click(gesture.x, gesture.y, background=gesture.background)
        elif not gesture.done:
            self._board.stage.show_prompt(self.prompt, band=gesture)
        elif gesture.x1 > gesture.x0 and gesture.y1 > gesture.y0:
            self.drag_box(gesture.x0, gesture.y0, gesture.x1, gesture.y1)
        else:
            self._board.stage.show_prompt(self.prompt)
            self._board.say("a box needs width and height")

    @shows_errors("No such category")
    def choose_category(self, name: str) -> None:
        """What the chips and the field of the categories do."""
        self.category = name

    # -- from image to image ---------------------------------------------------------------------------

    def _step(self, by: int) -> None:
        with self._lock:
            if self._waits_for_accept():
                return
            image = self._pages.step(by)
            if image is not None:
                self.show(image)
            else:
                self._board.say("this is the last image" if by > 0 else "this is the first image")

    def _waits_for_accept(self) -> bool:
        """True, and said so, while an accepted mask is still computed: what was accepted must not get lost."""
        if self._editing.accept_when_ready:
            self._board.say("one moment: the mask you accepted is still computed (Esc lets it go)")
        return self._editing.accept_when_ready

    def _accept(self, prediction: Prediction) -> None:
        index = self._editing.chosen
        annotation = self.session.accept(prediction, category=self._palette.chosen, index=index)
        self._editing.reset()
        self._annotations_changed()
        self._board.say(f"kept as {annotation.category}, score {annotation.score:.2f}")

    # -- drawing ---------------------------------------------------------------------------------------

    @shows_errors("The mask cannot be shown")
    def _draw_hand(self) -> None:
        """The prompt in hand and its mask; the mask of the last prompt stays until the new one is there."""
        editing, board = self._editing, self._board
        board.stage.show_prompt(editing.prompt)
        board.allow_accept(bool(editing.prompt))
        if editing.prediction is not None:
            self._draw_mask(editing.prediction, editing.chosen)
            if editing.accept_when_ready:
                editing.accept_when_ready = False
                self.accept()
        elif not editing.prompt:
            board.show_mask(None, (), 0)
            board.say("")
        elif editing.image is not None and not self.session.is_cached(editing.image):
            board.say(f"encoding {editing.image.filename}, first time only …")

    def _draw_mask(self, prediction: Prediction, chosen: int) -> None:
        shape = Shape(self._outlines(prediction.masks[chosen]), style.ACCENT)
        self._board.show_mask(shape, prediction.scores.tolist(), chosen)
        self._board.notice.dismiss()
        how = "cache hit" if prediction.cache_hit else "encoded"
        self._board.say(f"score {prediction.scores[chosen]:.2f} · {prediction.ms:.0f} ms · {how}")
        if not prediction.cache_hit:
            self._draw_header()

    def _annotations_changed(self) -> None:
        assert self.image is not None
        self._annotations = self.session.annotations(image=self.image)
        self._pages.mark_annotated(self.image, bool(self._annotations))
        self._draw_annotations()
        self._draw_header()

    def _draw_header(self) -> None:
        filename = self.image.filename if self.image is not None else ""
        self._board.show_header(self.session.name, self.dataset or "", filename, self._pages.counts())

    def _draw_annotations(self) -> None:
        shapes = {a.id: self._shapes.get(a.id) or self._shape(a.mask, a.category) for a in self._annotations}
        self._shapes = shapes
        entries = [Entry(a.id, a.category, float(a.score), self._palette.index(a.category)) for a in self._annotations]
        self._board.show_annotations(list(shapes.values()), entries)
        self._board.show_categories(self._palette.names, self._palette.chosen)

    def _shape(self, mask: NDArray[np.bool_], category: str) -> Shape:
        return Shape(self._outlines(mask), self._palette.color(category))

    def _outlines(self, mask: NDArray[np.bool_]) -> tuple[Polygon, ...]:
        # What is drawn may leave the pixels' edges by less than a pixel of the image or of the screen.
        return tuple(mask_polygons(mask, tolerance=max(0.75, 0.5 / self._board.stage.frame.scale)))
