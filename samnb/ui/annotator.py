"""The Annotator: a picture, a hand, and masks that are kept in the session."""

from __future__ import annotations

import logging
import threading
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from ..errors import SamnbError, UnknownName
from ..images import encode_png, thumbnail
from ..masks import Polygon, mask_polygons
from ..prompts import BACKGROUND, FOREGROUND, Prediction, Prompt
from . import style
from .board import Board
from .canvas import Shape
from .drafts import Draft
from .frame import stage_size
from .gestures import BoxDrag, Click
from .notice import shows_errors
from .pages import Pages
from .palette import Palette
from .panels import Entry
from .picture import draw_annotated
from .worker import LatestOnly

if TYPE_CHECKING:
    from ..catalog import ImageRecord
    from ..reports import Annotation
    from ..session import Session

__all__ = ["Annotator"]

_log = logging.getLogger("samnb.widgets")


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
        self._worker = LatestOnly()
        self._pages = Pages(session, self.dataset)
        self._palette = Palette(session.categories())
        self._image: ImageRecord | None = None
        self._drafts: dict[str, Draft] = {}
        self._prediction: Prediction | None = None
        self._predicted: Prompt = Prompt()
        self._chosen = 0
        self._accept_when_ready = False
        self._annotations: list[Annotation] = []
        self._shapes: dict[int, Shape] = {}
        self._board = Board(self, stage_size(self._pages.sizes, style.PICTURE_SIZE))
        super().__init__(self._board.parts)
        self.add_class("samnb")
        self.show(first if first is not None else self._pages.first)

    # -- what the hand does, in image pixels ---------------------------------------------------------

    @shows_errors("This click was not used")
    def click(self, x: float, y: float, background: bool = False) -> None:
        """Add a point: on the object, or with `background` where the object is not."""
        with self._lock:
            self._push(self._draft.prompt.with_point(x, y, label=BACKGROUND if background else FOREGROUND))

    @shows_errors("This box was not used")
    def drag_box(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Put a box round the object, from any corner to the opposite one; replaces an earlier box."""
        with self._lock:
            self._board.stage.show_prompt(self._draft.prompt)
            self._push(self._draft.prompt.with_box((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))))

    @shows_errors("Undo failed")
    def undo(self) -> None:
        """Take the last click, box or clear back."""
        with self._lock:
            if self._image is not None and self._draft.undo():
                self._prompt_changed()

    @shows_errors("Clear failed")
    def clear(self) -> None:
        """Start the object in hand again; undo brings it back."""
        with self._lock:
            if self._image is not None and self._draft.prompt:
                self._draft.push(Prompt())
                self._prompt_changed()

    @shows_errors("No such mask")
    def choose(self, index: int) -> None:
        """Take another one of the candidate masks, counted from 0."""
        with self._lock:
            if self._prediction is None:
                return
            count = len(self._prediction.masks)
            if not 0 <= index < count:
                raise UnknownName("mask", index + 1, [str(i + 1) for i in range(count)])
            self._chosen = int(index)
            self._draw_mask()
            self._board.say(self._said())

    @shows_errors("Nothing was accepted")
    def accept(self) -> None:
        """Keep the mask in hand as an annotation; while it is still computed, keep it as soon as it is there."""
        with self._lock:
            if self._image is None or not self._draft.prompt:
                self._board.say("nothing to accept yet: click an object first")
            elif self._prediction is None or self._predicted != self._draft.prompt:
                self._accept_when_ready = True
                self._board.say("will be accepted when its mask is there …")
            else:
                self._accept(self._prediction)

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
                pixels = self.session.pixels(record)
                annotations = self.session.annotations(image=record)
                self._image, self._annotations = record, annotations
                self._prediction, self._accept_when_ready = None, False
                self._pages.go_to(record)
                self._board.stage.show_picture(pixels)
            elif self._pages.first is None:
                self._board.notice.say(
                    'No images here yet: add some with session.add("photos/") and run this cell again.'
                )
            self._draw_header()
            self._draw_annotations()
            self._prompt_changed()

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
        return self._image

    @property
    def prompt(self) -> Prompt:
        """The prompt in hand."""
        return self._draft.prompt if self._image is not None else Prompt()

    @property
    def prediction(self) -> Prediction | None:
        """The prediction of the prompt in hand; None while there is none yet."""
        return self._prediction if self.prompt and self._predicted == self.prompt else None

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
            if self._image is None:
                return np.full((64, 96, 3), 240, np.uint8)
            masks = [annotation.mask for annotation in self._annotations]
            colors = [self._palette.color(a.category) for a in self._annotations]
            if self._prediction is not None:
                masks, colors = [*masks, self._prediction.masks[self._chosen]], [*colors, style.ACCENT]
            return draw_annotated(self.session.pixels(self._image), masks, colors, self.prompt)

    def wait(self, timeout: float = 30.0) -> None:
        """Block until no mask is being computed and show what came; for scripts and tests."""
        self._worker.wait(timeout)

    def close(self) -> None:
        """Let go of the browser's objects."""
        # ipywidgets also closes what never came into being, when a constructor raised.
        if hasattr(self, "_board"):
            self._board.close()
        super().close()

    def __repr__(self) -> str:
        where = self._image.filename if self._image is not None else "no images"
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

    # -- from a prompt to a mask -----------------------------------------------------------------------

    @property
    def _draft(self) -> Draft:
        if self._image is None:
            raise SamnbError('There is no image to click on: add some with session.add("photos/").')
        return self._drafts.setdefault(self._image.id, Draft())

    def _push(self, prompt: Prompt) -> None:
        with self._lock:
            draft = self._draft
            assert self._image is not None
            prompt.check_inside(self._image.size_hw, self._image.filename)
            draft.push(prompt)
            self._prompt_changed()

    def _prompt_changed(self) -> None:
        """Show the prompt now and ask for its mask; the mask of the last prompt stays until the new one is there."""
        self._accept_when_ready = False
        prompt = self.prompt
        self._board.stage.show_prompt(prompt)
        self._board.allow_accept(bool(prompt))
        if not prompt:
            self._prediction = None
            self._board.say("")
            self._draw_mask()
        elif self._predicted == prompt and self._prediction is not None:
            self._board.say(self._said())
        else:
            self._ask(prompt)

    def _ask(self, prompt: Prompt) -> None:
        record = self._image
        assert record is not None
        if not self.session.is_cached(record):
            self._board.say(f"encoding {record.filename}, first time only …")
        work = partial(self.session.predict, record, prompt=prompt, multimask=True)
        self._worker.submit(work, partial(self._answered, record, prompt))

    @shows_errors("The mask cannot be shown")
    def _answered(self, record: ImageRecord, prompt: Prompt, prediction: Prediction | None, error: Any) -> None:
        with self._lock:
            if self._image is None or record.id != self._image.id or prompt != self._draft.prompt:
                return
            if error is not None:
                self._take_back()
                _log.warning("no mask for %s on %s", prompt, record.filename, exc_info=error)
                self.show_error("No mask for this prompt", error)
                return
            assert prediction is not None
            accept_now = self._accept_when_ready
            self._prediction, self._predicted, self._chosen = prediction, prompt, prediction.best
            self._board.notice.dismiss()
            self._board.say(self._said())
            self._draw_mask()
            if not prediction.cache_hit:
                self._draw_header()
            if accept_now:
                self._accept(prediction)

    def _take_back(self) -> None:
        """A prompt that cannot be decoded leaves everything as it was before it."""
        self._draft.undo()
        self._prompt_changed()

    def _accept(self, prediction: Prediction) -> None:
        self._accept_when_ready = False
        annotation = self.session.accept(prediction, category=self._palette.chosen, index=self._chosen)
        self._draft.reset()
        self._prompt_changed()
        self._annotations_changed()
        self._board.say(f"kept as {annotation.category}, score {annotation.score:.2f}")

    # -- from image to image ---------------------------------------------------------------------------

    def _step(self, by: int) -> None:
        with self._lock:
            image = self._pages.step(by)
            if image is not None:
                self.show(image)
            else:
                self._board.say("this is the last image" if by > 0 else "this is the first image")

    # -- drawing ---------------------------------------------------------------------------------------

    @shows_errors("This was not understood")
    def gesture(self, gesture: Click | BoxDrag) -> None:
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
        self.category = name

    def _annotations_changed(self) -> None:
        assert self._image is not None
        self._annotations = self.session.annotations(image=self._image)
        self._pages.mark_annotated(self._image, bool(self._annotations))
        self._draw_annotations()
        self._draw_header()

    def _draw_header(self) -> None:
        filename = self._image.filename if self._image is not None else ""
        self._board.show_header(self.session.name, self.dataset or "", filename, self._pages.counts())

    def _draw_annotations(self) -> None:
        shapes = {a.id: self._shapes.get(a.id) or self._shape(a.mask, a.category) for a in self._annotations}
        self._shapes = shapes
        entries = [Entry(a.id, a.category, float(a.score), self._palette.index(a.category)) for a in self._annotations]
        self._board.show_annotations(list(shapes.values()), entries)
        self._board.show_categories(self._palette.names, self._palette.chosen)

    def _draw_mask(self) -> None:
        prediction = self._prediction
        if prediction is None:
            self._board.show_mask(None, (), 0)
            return
        polygons = self._outlines(prediction.masks[self._chosen])
        self._board.show_mask(Shape(polygons, style.ACCENT), prediction.scores.tolist(), self._chosen)

    def _said(self) -> str:
        assert self._prediction is not None
        how = "cache hit" if self._prediction.cache_hit else "encoded"
        return f"score {self._prediction.scores[self._chosen]:.2f} · {self._prediction.ms:.0f} ms · {how}"

    def _shape(self, mask: NDArray[np.bool_], category: str) -> Shape:
        return Shape(self._outlines(mask), self._palette.color(category))

    def _outlines(self, mask: NDArray[np.bool_]) -> tuple[Polygon, ...]:
        # What is drawn may leave the pixels' edges by less than a pixel of the image or of the screen.
        return tuple(mask_polygons(mask, tolerance=max(0.75, 0.5 / self._board.stage.frame.scale)))
