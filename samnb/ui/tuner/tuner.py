"""`Tuner`: a template's parameters on the left, and on the right the objects they find on a few images, live."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets

from ...cards import count_text
from ...errors import UnknownName
from ...images import encode_png
from ...masks import contact_sheet
from ...masks.drawing import OutlineCache, draw_masks
from ...templates import STRATEGY_NAMES, Template
from ...templates.match import Match
from ...templates.preview import Preview, Sample, samples_of
from ...templates.report import Sweep
from ..common import style
from ..common.accessibility import Accessibility
from ..common.background import LatestOnlyWorker
from ..common.closing import close_tree, collect_closed
from ..common.error_line import ErrorLine, show_errors
from . import preview_grid as gallery
from . import score_histogram as thresholds
from . import sweep_plot as sweeping
from .click_listener import ClickListener
from .feedback import Feedback
from .feedback_row import FeedbackRow
from .parameter_sliders import ParameterSliders
from .sweep_run import TunerSweep, run_sweep

if TYPE_CHECKING:
    from ...records import ImageRef
    from ..session_protocol import TunerSession


SHOWN = 12
"""The number of sample images."""

_TOGETHER = 0.12
"""Seconds: results within this time are drawn together."""


class Tuner(ipywidgets.VBox):
    """Shows what a template finds on sample images while its parameters change; nothing is written until it is saved.

    Predictions are cached per image, so that most changes need no decoding: for a new threshold, cached
    results are drawn first, and a search follows if it may find more. The search runs off the kernel's main
    thread, the first images first; a newer change ends an older search. Handlers never raise: errors are shown in a
    red line and logged to "samnb.widgets".

    A click on a found object marks it as good, a second one as bad, a third removes the mark. Marks count in the
    metrics; "Use marks" makes good ones further examples of the template, and bad ones its background examples.

    Parameters
    ----------
    session : Session
    template : Template or str
        A saved one by its name.
    images : iterable of images, optional
        The first 12 of these; None: 12 of all, a third of those annotated by hand.

    Raises
    ------
    UnknownName
        No such template or image.
    TemplateMismatch
        Made with another model.

    Examples
    --------
    >>> tuner = Tuner(session, session.template("coins", max_objects=3), images=["coins_1.png"])
    >>> tuner.set(min_score=0.6)
    >>> tuner.save()
    >>> saved = session.find_template("coins")
    >>> saved.source, saved.parameters["min_score"]
    ('template:coins@2', 0.6)
    >>> tuner.close()
    """

    def __init__(self, session: TunerSession, template: Template | str, *, images: Iterable[ImageRef] | None = None):
        self.session = session
        self.saved = session.find_template(template)
        self.result: Sweep | None = None
        self.samples = self._samples(images)
        self._previews: list[Preview | Exception | None] = [None] * len(self.samples)
        self._values: dict[str, float] = dict(self.saved.parameters)
        self._strategy, self._before = self.saved.strategy, False
        self._worker, self._sweeper, self._outlines = LatestOnlyWorker(), LatestOnlyWorker(), OutlineCache()
        self.marks, self._used = Feedback(), self.saved.categories
        self._turn, self._setting, self._started = 0, False, 0.0
        self.seconds = 0.0
        self._colors = {c.name: c.color for c in session.category_records() if c.color}
        self._build()
        self._changed()

    # -- actions -----------------------------------------------------------------------------------

    @property
    def template(self) -> Template:
        """The template with the values of the sliders; not saved."""
        # Only values that differ: 2 and 2.0 are the same parameter and would be two versions.
        moved = {name: value for name, value in self._values.items() if value != self.saved.parameters[name]}
        return replace(self.saved, strategy=self._strategy, categories=self._used).with_parameters(**moved)

    @show_errors("The parameters stay as they are")
    def set(self, *, strategy: str | None = None, **parameters: float) -> None:
        """Move sliders; unknown names and values out of range are refused."""
        self.saved.with_parameters(**parameters)
        if strategy is not None:
            if strategy not in STRATEGY_NAMES:
                raise UnknownName("strategy", strategy, STRATEGY_NAMES)
            self._strategy = strategy
        self._values |= {name: float(value) for name, value in parameters.items()}
        self._show_values()
        self._changed()

    @show_errors("The two cannot be compared")
    def toggle_before(self) -> None:
        """Show the results of the saved version, or again those of the sliders."""
        self._before = not self._before
        style.set_class(self._compare, "samnb-chosen", self._before)
        self._changed()

    @show_errors("The object was not marked")
    def mark(self, image: int, match: int, good: bool | None) -> None:
        """Mark a found object as good or bad; None removes the mark.

        Parameters
        ----------
        image, match : int
            Its numbers among the samples and the matches of that preview.
        good : bool or None
        """
        preview = self._previews[image]
        if not isinstance(preview, Preview) or not 0 <= match < len(preview.matches):
            raise UnknownName("found object", f"{image}, {match}", [])
        self.marks.set(preview, preview.matches[match], good)
        self._cells[image].value = self._drawn(image, preview, self._limits["review_score"])
        self._draw_scores(stale=self._worker.busy)

    @show_errors("The marks were not used")
    def use_marks(self, wanted: bool = True) -> None:
        """Make good marks further examples and bad ones background examples; False undoes that."""
        self._used = self.marks.applied(self.saved, self.samples).categories if wanted else self.saved.categories
        self._feedback_row.show_used(self._used is not self.saved.categories)
        self._show_values()
        self._changed()

    @show_errors("The template was not saved")
    def save(self) -> None:
        """Save the template with the values of the sliders: its next version, if anything differs."""
        before = self.saved.version
        if self._used is not self.saved.categories:
            # They are in the template now; used again, they would count twice.
            self.marks.all.clear()
        self.saved = self.session.save_template(self.template)
        new, self._used = self.saved.version != before, self.saved.categories
        self._feedback_row.show_used(False)
        self._say(
            f"saved as {self.saved.name} v{self.saved.version}: session.apply({self.saved.name!r}) uses it"
            if new
            else "nothing has changed since it was saved"
        )
        self._draw_header()
        self._show_values()
        self._changed()

    @show_errors("The sweep did not start")
    def sweep(self) -> None:
        """Try values around those of the sliders on objects annotated by hand; pick a row to set the sliders."""
        template = self.template
        self._sweep.disabled = True
        self._say("sweep: trying combinations on the images annotated by hand, and on marks …")
        self._sweeper.submit(partial(self._swept, template), self._take_sweep)

    @show_errors("This row cannot be taken")
    def pick(self, row: int) -> None:
        """Set the sliders to a row of the sweep, 0 the best."""
        if self.result is not None:
            self.set(**self.result.rows[row].parameters)
            self._plot.value = sweeping.plot(self.result, row)
            self._setting = True
            try:
                self._rows.value = row
            finally:
                self._setting = False

    # -- state -------------------------------------------------------------------------------------

    @property
    def previews(self) -> list[Preview]:
        """The previews, image by image; those not ready yet are left out."""
        return [each for each in self._previews if isinstance(each, Preview)]

    @property
    def counts(self) -> tuple[int, int, int]:
        """(accepted, to review, rejected) masks of all previews, as shown."""
        return self._thresholds.counts

    @property
    def error(self) -> str:
        """The red line, "" when there is none."""
        return self._error_line.text

    @property
    def status(self) -> str:
        """The status line."""
        return self._said

    def wait(self, timeout: float = 60.0) -> None:
        """Block until all images are drawn and no sweep runs; for scripts and tests."""
        deadline = time.monotonic() + timeout
        while self._worker.busy or self._worker.pending or self._sweeper.busy or self._sweeper.pending:
            for worker in (self._worker, self._sweeper):
                worker.wait(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """End the search and release the browser's objects."""
        # ipywidgets also closes a widget whose constructor raised.
        if hasattr(self, "_cells"):
            self._turn += 1
            self._worker.cancel()
            close_tree(self)
            collect_closed()
        super().close()

    def show_error(self, what: str, error: Exception) -> None:
        """Show the red line."""
        self._error_line.show(what, error)

    def __repr__(self) -> str:
        samples = count_text(len(self.samples), "image")
        return f"<Tuner {self.session.name}: {self.saved.name} v{self.saved.version}, {samples}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        bundle |= {"text/plain": repr(self)}
        tiles = [
            draw_masks(p.pixels.copy(), [m.mask for m in p.matches], "#e69f00", layered=True) for p in self.previews
        ]
        # For pages without a kernel: the present results as a static picture.
        if tiles:
            names = [preview.image.filename for preview in self.previews]
            still = encode_png(contact_sheet(tiles, columns=4, tile=180, captions=names))
            bundle["image/png"] = b64encode(still).decode()
        return bundle

    # -- searching ---------------------------------------------------------------------------------

    def _samples(self, images: Iterable[ImageRef] | None) -> list[Sample]:
        session, known = self.session, {}
        for one in session.annotated_by_hand(self.saved):
            known[one.image.id] = one.wanted
        records = [session.image(image) for image in images][:SHOWN] if images is not None else session.images()
        chosen = records if images is not None else samples_of(records, known, SHOWN)
        return [
            Sample(
                record,
                embedding=partial(session.template_features, record, self.saved),
                pixels=partial(session.pixels, record),
                wanted=known.get(record.id, {}),
                model=session.model,
            )
            for record in chosen
        ]

    @property
    def _limits(self) -> Mapping[str, float]:
        return self.saved.parameters if self._before else self._values

    def _changed(self) -> None:
        """Draw cached results at once, then search all images again; the search for older values ends."""
        self._turn += 1
        self._started = time.perf_counter()
        self._draw_scores(stale=True)
        template = self.saved if self._before else self.template
        self._worker.submit(partial(self._searched_cached, template, self._turn), self._take)

    def _search(self, turn: int, start: int) -> None:
        if start < len(self.samples):
            template = self.saved if self._before else self.template
            self._worker.submit(partial(self._found, template, turn, start), self._take)

    def _searched_cached(self, template: Template, turn: int) -> tuple[int, int, list[tuple[int, Any, str]]]:
        """The results of earlier searches, all images; on the worker's thread."""
        found: list[tuple[int, Any, str]] = []
        for number, sample in enumerate(self.samples):
            if turn != self._turn:
                break
            if (preview := sample.search_cached(template)) is not None:
                found.append((number, preview, self._drawn(number, preview, template.parameters["review_score"])))
        return turn, 0, found

    def _found(self, template: Template, turn: int, start: int) -> tuple[int, int, list[tuple[int, Any, str]]]:
        """Search images for a moment, and return them with their HTML; on the worker's thread."""
        found: list[tuple[int, Any, str]] = []
        until, number = time.perf_counter() + _TOGETHER, start
        for number, sample in enumerate(self.samples[start:], start):
            try:
                preview = sample.search(template)
                found.append((number, preview, self._drawn(number, preview, template.parameters["review_score"])))
            except Exception as error:
                # One image that cannot be searched must not stop the others.
                found.append((number, error, gallery.waiting(sample.image.filename, f"⚠ {error}")))
            if turn != self._turn or time.perf_counter() > until:
                break
        return turn, number + 1, found

    def _drawn(self, number: int, preview: Preview, review_score: float) -> str:
        marks = self.marks.of(preview)
        options: dict[str, Any] = {"colors": self._colors, "outlines": self._outlines, "marks": marks}
        return gallery.figure(preview, number=number, review_score=review_score, **options)

    def _take(self, answer: Any, error: Exception | None) -> None:
        if error is not None:
            self.show_error("The images could not be searched", error)
            return
        turn, end, found = answer
        if turn != self._turn:
            return
        for place, preview, drawn in found:
            self._previews[place] = preview
            self._cells[place].value = drawn
        self.seconds = time.perf_counter() - self._started
        self._draw_scores(stale=end < len(self.samples) and not all(map(_is_settled, self._previews)))
        self._search(turn, end)

    def _swept(self, template: Template) -> TunerSweep:
        # Not the session's method, which saves a passed template.
        known = self.session.annotated_by_hand(template)
        return run_sweep(template, known, self.samples, self.marks, self.session.model)

    def _take_sweep(self, found: Any, error: Exception | None) -> None:
        self._sweep.disabled = False
        if error is not None:
            self.show_error("The sweep failed", error)
            return
        self.result = result = found.result
        rows = ((sweeping.row_text(row), n) for n, row in enumerate(result.rows))
        self._rows.options = [(sweeping.head_text(result.rows[0]), -1), *rows]
        self._plot.value = sweeping.plot(result)
        style.show(self._rows, True)
        style.show(self._plot, True)
        self._say(found.said)

    # -- drawing -----------------------------------------------------------------------------------

    def _build(self) -> None:
        self._said = ""
        self._header, self._figures, self._status, self._plot = (style.html() for _ in range(4))
        self._error_line = ErrorLine()
        own = style.html(f"<style>{gallery.CSS}{thresholds.CSS}{sweeping.CSS}</style>", "samnb-sheet")
        self._thresholds = thresholds.Thresholds(lambda least, sure: self.set(min_score=least, review_score=sure))
        # Of a phrase there are no examples to compare, and examples have no phrase.
        names = [name for name in STRATEGY_NAMES if (name == "phrase") == (self._strategy == "phrase")]
        self._choice = ipywidgets.Dropdown(options=names, value=self._strategy, description="strategy")
        self._choice.observe(self._on_strategy, "value")
        self._sliders = ParameterSliders(self.session.model, self._on_slider)
        self._compare = style.tool("Before", self.toggle_before, "Show what the saved version finds")
        self._save = style.tool("Save", self.save, "A new version of the template", "samnb-primary")
        self._sweep = style.tool(
            "Sweep", self.sweep, "Try values round these on what was annotated by hand, and on marks"
        )
        self._rows = ipywidgets.Select(options=[("", -1)], rows=9, description="")
        self._rows.tooltip = "Results of the sweep: pick a row to set the sliders"
        self._rows.observe(self._on_row, "value")
        style.show(self._rows, False)
        style.show(self._plot, False)
        buttons = style.box(self._compare, self._sweep, self._save, classes=("samnb-row",))
        parts = (self._choice, self._thresholds, *self._sliders.values(), buttons, self._plot, self._rows)
        controls = style.box(*parts, classes=("samnb-controls",))
        self._cells = [style.html(gallery.waiting(s.image.filename, "…")) for s in self.samples]
        pictures = style.box(*self._cells, classes=("samnb-gallery",))
        body = style.box(controls, pictures, classes=("samnb-tuner",))
        self._feedback_row, listener = FeedbackRow(self.mark, self._toggle_marks), ClickListener(self._on_pick)
        super().__init__(
            [
                style.sheet(),
                own,
                self._header,
                body,
                self._feedback_row,
                self._figures,
                self._status,
                self._error_line,
                listener,
                Accessibility(),
            ]
        )
        self.add_class("samnb")
        self._show_values()
        self._draw_header()
        self._say("" if self.samples else "no images: session.add(…)")

    def _toggle_marks(self) -> None:
        self.use_marks(self._used is self.saved.categories)

    @show_errors("The object was not marked")
    def _on_pick(self, image: int, x: float, y: float) -> None:
        """A click on a picture: good, then bad, then unmarked."""
        preview = self._previews[image]
        match = self.marks.at(preview, x, y) if isinstance(preview, Preview) else None
        if isinstance(preview, Preview) and match is not None:
            number = _number_of(preview, match)
            now = self.marks.of(preview).get(number)
            self.mark(image, number, True if now is None else False if now else None)
            self._feedback_row.objects.value = (image, number)

    def _show_values(self) -> None:
        """Set strategy and sliders to the values, without handling that as user input."""
        self._setting = True
        try:
            self._choice.value = self._strategy
        finally:
            self._setting = False
        self._sliders.show(self._values, self.template)

    @show_errors("The slider did nothing")
    def _on_slider(self, name: str, value: float) -> None:
        self.set(**{name: value})

    @show_errors("The choice did nothing")
    def _on_strategy(self, change: Any) -> None:
        if not self._setting:
            self.set(strategy=change["new"])

    @show_errors("This row cannot be taken")
    def _on_row(self, change: Any) -> None:
        if not self._setting and change["new"] is not None and change["new"] >= 0:
            self.pick(change["new"])

    def _draw_header(self) -> None:
        left = style.span(self.session.name, "strong") + style.span(f" · tune {self.saved.name}", "dim")
        right = style.span(f"v{self.saved.version} · {count_text(len(self.samples), 'image')}", "number")
        self._header.value = (
            f'<div class="samnb-spread"><span class="samnb-clip">{left}</span><span>{right}</span></div>'
        )

    def _draw_scores(self, *, stale: bool) -> None:
        limits = self._limits
        scores = [match.score for preview in self.previews for match in preview.candidates]
        self._thresholds.show(scores, min_score=limits["min_score"], review_score=limits["review_score"])
        what = f"before (v{self.saved.version}): " if self._before else ""
        self._figures.value = style.span(what + gallery.overall(self.previews), *(("stale",) if stale else ()))
        self._feedback_row.say(self.marks.said(self.previews), stale=stale)
        if not stale:
            self._feedback_row.show(self._previews, self.marks)

    def _say(self, text: str) -> None:
        self._said = text
        self._status.value = f'<div class="samnb-status" role="status">{style.span(text, "number", "dim")}</div>'


def _number_of(preview: Preview, match: Match) -> int:
    return next(number for number, each in enumerate(preview.matches) if each is match)


def _is_settled(preview: Preview | Exception | None) -> bool:
    return isinstance(preview, Exception) or (preview is not None and preview.settled)
