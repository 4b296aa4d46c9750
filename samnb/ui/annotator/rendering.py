"""What an annotator shows: the draft in hand, the annotations of its image, where we are. The rest builds on it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...masks import Polygon, mask_polygons
from ...masks.geometry import Mask
from ...prompts import Prediction, Prompt
from ..common import style
from ..common.background import LatestOnlyWorker
from ..common.error_line import show_errors
from .annotation_list import AnnotationRow
from .category_palette import Palette
from .editor import Editor
from .history import Change, EditState
from .hover import Hover
from .image_list import ImageList
from .layout import AnnotatorLayout
from .snapshot import draw_annotated, draw_snapshot
from .stage import Shape

if TYPE_CHECKING:
    import threading

    from ...annotations.annotation import Annotation
    from ...catalog import ImageRecord
    from ...session import Session

__all__ = ["COUNTS", "MOMENT", "Renderer"]

# Image pixels; and from so many CSS pixels an image pixel on, outlines follow the edges of the pixels.
_COARSE, _CLOSE = 0.75, 1.5
_REST, _FINER, COUNTS = 1, 2, 4
MOMENT = 0.3
# So many outlines are made at once, a millisecond each for a large picture; the rest beside the kernel.
_AT_ONCE = 50


class Renderer:
    """The parts of an annotator, and how they are drawn; `Annotator` makes them."""

    session: Session
    dataset: str | None
    _lock: threading.RLock
    _edit_state: EditState
    _image_list: ImageList
    _palette: Palette
    _layout: AnnotatorLayout
    _editor: Editor
    _hover: Hover
    _refreshing: LatestOnlyWorker
    _annotations: dict[int, Annotation]
    _outlined: dict[int, tuple[object, tuple[Polygon, ...]]]
    _selected: int | None
    _hidden: int | None
    _acting: int
    _turn: int
    _fine: set[int]
    _outlining: set[int]
    _drawn_with: float
    accept: Callable[..., None]
    _accept_as: str | None

    # -- what there is to see --------------------------------------------------------------------------

    @property
    def image(self) -> ImageRecord | None:
        """The image shown."""
        return self._editor.image

    @property
    def prompt(self) -> Prompt:
        """The prompt in hand."""
        return self._editor.draft.prompt

    @property
    def prediction(self) -> Prediction | None:
        """The prediction of the prompt in hand; None while there is none yet."""
        return self._editor.prediction

    @property
    def mask(self) -> Mask | None:
        """(H, W) bool: the mask in hand, with what was painted on it."""
        return self._editor.mask

    @property
    def annotations(self) -> list[Annotation]:
        """The annotations of the image shown, in the order they are drawn: by layer, then by id."""
        return sorted(self._annotations.values(), key=lambda a: (getattr(a, "layer", 0), a.id))

    @property
    def selected(self) -> int | None:
        """The id of the selected annotation."""
        return self._selected

    @property
    def error(self) -> str:
        """The red line, "" when there is none."""
        return self._layout.error_line.text

    @property
    def status(self) -> str:
        """The left part of the status line."""
        return self._layout.said

    def snapshot(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB pixels of the image with its annotations, the mask and the prompt in hand."""
        with self._lock:
            if self.image is None:
                return np.full((64, 96, 3), 240, np.uint8)
            shown = [a for a in self.annotations if a.mask.shape == self.image.size_hw and a.id != self._hidden]
            masks, colors = [a.mask for a in shown], [self._palette.color(a.category) for a in shown]
            if self.mask is not None:
                masks, colors = [*masks, self.mask], [*colors, style.ACCENT]
            return draw_annotated(self.session.pixels(self.image), masks, colors, self.prompt)

    def _draw_still(self) -> NDArray[np.uint8]:
        """What a page without a kernel shows: image, annotations, the object in hand, a title and the legend."""
        with self._lock:
            image, shapes, mask, prompt = self.image, self._layout.shapes, self.mask, self.prompt
            counts = Counter(annotation.category for annotation in self._annotations.values())
            legend = [(f"{name} · {count}", self._palette.color(name)) for name, count in counts.items()]
        if image is None:
            return self.snapshot()
        title = " · ".join(filter(None, [self.session.name, image.dataset, image.filename]))
        return draw_snapshot(self.session.pixels(image), shapes, mask=mask, prompt=prompt, title=title, legend=legend)

    def show_error(self, what: str, error: Exception) -> None:
        """Show the red line."""
        with self._lock:
            self._layout.error_line.show(what, error)

    # -- the object in hand ----------------------------------------------------------------------------

    @show_errors("The mask cannot be shown")
    def _draw_hand(self) -> None:
        """The draft and its mask; the mask of the last prompt stays until the new one is there."""
        editing, board = self._editor, self._layout
        draft = editing.draft
        board.stage.show_prompt(draft.prompt)
        self._allow()
        if editing.is_ready:
            self._draw_mask()
            if editing.accept_when_ready:
                editing.accept_when_ready = False
                self.accept(self._accept_as)
        elif not draft:
            board.stage.show_mask(None)
            board.show_candidates((), (), 0)
            board.say("")
        elif editing.image is not None and not self.session.is_cached(editing.image):
            board.say(f"encoding {editing.image.filename}, first time only …")
        if draft.replaces != self._hidden:
            self._draw_annotations()

    def _draw_mask(self) -> None:
        mask, prediction, chosen = self._editor.mask, self.prediction, self._editor.chosen
        assert mask is not None
        self._drawn_with = self._tolerance()
        self._layout.stage.show_mask(Shape(self._outlines(mask), style.ACCENT))
        self._layout.error_line.dismiss()
        if prediction is None:
            self._layout.show_candidates((), (), 0)
            self._layout.say(f"{'editing' if self._editor.draft.replaces else 'drawn'} · {np.count_nonzero(mask):,} px")
            return
        self._draw_candidates()
        how = "cache hit" if prediction.cache_hit else "encoded"
        if prediction.region is not None:
            x0, y0, x1, y1 = prediction.region
            how += f" · detail of {x1 - x0} × {y1 - y0}"
        self._layout.say(f"score {prediction.scores[chosen]:.2f} · {prediction.ms:.0f} ms · {how}")
        if not prediction.cache_hit:
            self._draw_header()

    @show_errors("The candidates cannot be shown")
    def _draw_candidates(self) -> None:
        prediction, seen = self.prediction, self._editor.seen
        if prediction is not None and seen is not None:
            self._layout.show_candidates(prediction.scores.tolist(), seen.thumbnails, self._editor.chosen)

    def _allow(self) -> None:
        history = self._editor.history if self.image is not None else None
        in_hand = bool(self._editor.draft)
        self._layout.allow(
            accept=in_hand,
            undo=history is not None and history.can_undo,
            redo=history is not None and history.can_redo,
            mend=in_hand or self._selected is not None,
        )

    def _hand_changed(self, image_id: str) -> None:
        """Another annotator of this session did something on that image."""
        with self._lock:
            if not self._editor.telling and self.image is not None and self.image.id == image_id:
                self._editor.changed()

    # -- annotations -----------------------------------------------------------------------------------

    @contextmanager
    def _acts(self) -> Iterator[None]:
        """What happens inside is this annotator's doing: it need not be told."""
        with self._lock:
            self._acting += 1
            try:
                yield
            finally:
                self._acting -= 1

    def _annotations_changed(self, changes: Iterable[Change]) -> None:
        assert self.image is not None
        self._turn += 1
        for change in changes:
            if change.after is None:
                self._annotations.pop(change.before.id, None)
            else:
                self._annotations[change.after.id] = change.after
        self._image_list.mark_annotated(self.image, bool(self._annotations))
        self._draw_annotations()
        self._draw_header()

    def _told(self, image_id: str) -> None:
        """Annotations changed, here or elsewhere, on whatever thread; looked at when there is time."""
        image, turn = self.image, self._turn
        if not self._acting and image is not None and image_id in ("", image.id):
            self._refreshing.submit(lambda: (image, turn, self._read(image)), self._take_news)
        elif not self._acting and image is not None:
            # An apply tells of every image: those of a moment are counted together.
            self._refreshing.submit(partial(time.sleep, MOMENT), self._count_again, priority=COUNTS)

    def _count_again(self, _: Any, error: Exception | None) -> None:
        with self._lock:
            if error is None and self.image is not None:
                self._draw_header()

    def _read(self, image: ImageRecord) -> dict[int, Annotation]:
        return {annotation.id: annotation for annotation in self.session.annotations(image=image)}

    def _take_news(self, news: Any, error: Exception | None) -> None:
        if error is not None:
            self.show_error("The annotations could not be read again", error)
            return
        image, turn, annotations = news
        with self._lock:
            if turn != self._turn:
                # Something was done here after they were read: they may lack it.
                self._told(image.id)
            elif self.image is not None and self.image.id == image.id:
                self._annotations = annotations
                self._palette.renew(self.session.category_records())
                self._annotations_changed(())

    def _draw_annotations(self) -> None:
        drawn = self.annotations
        if self._selected not in self._annotations:
            self._selected = None
        self._hidden = self._editor.draft.replaces
        known = {a.id: self._outlined[a.id] for a in drawn if self._is_outlined(a)}
        new = [a for a in reversed(drawn) if a.id not in known]  # what lies on top first
        self._outlined = known | {a.id: self._outlined_now(a) for a in new[:_AT_ONCE]}
        self._outline_later(new[_AT_ONCE:])
        shapes = [self._shape(a) for a in drawn if a.id != self._hidden and a.id in self._outlined]
        entries = [
            AnnotationRow(
                a.id, a.category, float(a.score), self._palette.index(a.category), self._palette.color(a.category)
            )
            for a in self._annotations.values()
        ]
        self._layout.show_annotations(shapes, entries, self._selected)
        self._draw_categories()
        self._allow()

    def _is_outlined(self, annotation: Annotation) -> bool:
        return annotation.id in self._outlined and self._outlined[annotation.id][0] == self._version(annotation)

    def _outlined_now(self, annotation: Annotation) -> tuple[object, tuple[Polygon, ...]]:
        return self._version(annotation), self._outlines(annotation.mask)

    def _outline_later(self, annotations: list[Annotation]) -> None:
        ids = {annotation.id for annotation in annotations}
        if ids - self._outlining:
            self._outlining = ids
            self._refreshing.submit(partial(_each, self._outlined_now, annotations), self._take_rest, priority=_REST)

    def _take_rest(self, outlined: Any, error: Exception | None) -> None:
        with self._lock:
            self._outlining = set()
            if error is not None:
                self.show_error("Not all annotations could be drawn", error)
                return
            here = {a.id: a for a in self._annotations.values()}
            self._outlined |= {i: new for i, new in outlined.items() if i in here and new[0] == self._version(here[i])}
            if here.keys() & outlined.keys():
                self._draw_annotations()

    @staticmethod
    def _version(annotation: Annotation) -> object:
        return (getattr(annotation, "updated_at", None), annotation.created_at, annotation.area)

    def _shape(self, annotation: Annotation) -> Shape:
        _, outlines = self._outlined[annotation.id]
        return Shape(outlines, self._palette.color(annotation.category), annotation.id, annotation.category)

    @show_errors("The outlines stay as they are")
    def view_changed(self) -> None:
        """Zoomed in, outlines are made finer: the mask in hand at once, the annotations in sight when there is time."""
        with self._lock:
            if self.image is None or self._tolerance() >= _COARSE:
                return
            if self._editor.is_ready and self._drawn_with > self._tolerance():
                self._draw_mask()
            wanted = [a for a in self._annotations.values() if self._in_sight(a) and not self._is_fine(a)]
            if wanted:
                work = partial(_each, self._outlined_now, wanted)
                self._refreshing.submit(work, self._take_outlines, priority=_FINER)

    def _take_outlines(self, finer: Any, error: Exception | None) -> None:
        if error is not None:
            self.show_error("The outlines stay as they are", error)
            return
        with self._lock:
            here = {i: new for i, new in finer.items() if i in self._annotations}
            self._outlined |= {i: new for i, new in here.items() if new[0] == self._version(self._annotations[i])}
            self._fine |= here.keys()
            self._draw_annotations()

    def _in_sight(self, annotation: Annotation) -> bool:
        x0, y0, x1, y1 = self._layout.stage.view.visible
        x, y, width, height = annotation.bbox
        return x < x1 and y < y1 and x + width > x0 and y + height > y0

    def _is_fine(self, annotation: Annotation) -> bool:
        known = self._outlined.get(annotation.id)
        return annotation.id in self._fine and known is not None and known[0] == self._version(annotation)

    def _tolerance(self) -> float:
        """Image pixels that outlines may leave the pixels' edges: less than one of the image or of the screen."""
        scale = self._layout.stage.view.scale
        return 0.0 if scale > _CLOSE else max(_COARSE, 0.5 / scale)

    def _outlines(self, mask: Mask) -> tuple[Polygon, ...]:
        return tuple(mask_polygons(mask, tolerance=self._tolerance(), exact=False))

    def _draw_categories(self) -> None:
        self._layout.show_categories(self._palette.chips, self._palette.chosen)

    # -- where we are ----------------------------------------------------------------------------------

    def _draw_header(self) -> None:
        filename = self.image.filename if self.image is not None else ""
        self._layout.show_header(self.session.name, self.dataset or "", filename, self._image_list.counts())
        self._layout.show_strip(self._image_list)

    def _waits_for_accept(self) -> bool:
        """True, and said so, while an accepted mask is still computed: what was accepted must not get lost."""
        if self._editor.accept_when_ready:
            self._layout.say("one moment: the mask you accepted is still computed (Esc lets it go)")
        return self._editor.accept_when_ready


def _each(outline: Callable[[Annotation], Any], annotations: Iterable[Annotation]) -> dict[int, Any]:
    return {annotation.id: outline(annotation) for annotation in annotations}
