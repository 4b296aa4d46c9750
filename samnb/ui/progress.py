"""The Progress widget: the progress of a prewarm, an apply or a search, and its result."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from html import escape
from typing import Any

import ipywidgets

from ..cards import count_text, more_text
from ..jobs import Event, Job, found_text, summary_text
from .common import style
from .common.closing import close_tree
from .common.error_line import ErrorLine

# Seconds: faster redrawing only costs time in the page; with slower redrawing the time left does not move.
_DRAW_EVERY, _TICK = 0.1, 0.5
_FAILURES_SHOWN = 100


class Progress(ipywidgets.VBox):
    """Follows a `Job`: bar, counts, rate, time left, pause and cancel, failed files with their reasons.

    Parameters
    ----------
    job : Job
        Of `Session.prewarm` or `Session.apply`; running or ended.

    Examples
    --------
    >>> from samnb.jobs import Event, Job
    >>> last = Event("done", total=50, details={"computed": 35, "skipped": 15, "failed": 0, "cache_size": 150})
    >>> job = Job("prewarm", lambda control: iter([last]), total=50)
    >>> _ = job.wait()
    >>> Progress(job).title
    'Dataset ready (cache: 150 embeddings, computed: 35, skipped: 15)'
    """

    def __init__(self, job: Job):
        self.job = job
        self.counts: Counter[str] = Counter()
        self.title = ""
        self._latest: Event | None = None
        self._masks = 0
        self._pace = ""
        self._failures: list[tuple[str, str]] = []
        self._drawn_at = 0.0
        self._ended_at: float | None = None
        self._paused_at: float | None = None
        self._paused_for = 0.0
        self._line = style.html()
        self._title = style.html("", "samnb-grow", "samnb-strong", "samnb-number")
        self._bar = style.html()
        self._details = style.html()
        self._error_line = ErrorLine()
        self._pause = style.button("Pause", icon="pause", tooltip="Stop after the current image")
        self._cancel = style.button("Cancel", icon="stop", tooltip="Stop for good; what is finished is kept")
        self._pause.on_click(lambda _: self.toggle_pause())
        self._cancel.on_click(lambda _: self.cancel())
        head = style.box(self._title, self._pause, self._cancel, classes=("samnb-row",))
        super().__init__([style.sheet(), head, self._bar, self._line, self._details, self._error_line])
        self.add_class("samnb")
        self.layout.max_width = "720px"
        self._draw()
        job.subscribe(self._on_event, finished=self._draw)
        self._tick()

    # -- actions -----------------------------------------------------------------------------------

    def toggle_pause(self) -> None:
        """Pause the job after the current image, or resume."""
        if self.job.state == "paused":
            self.job.resume()
        else:
            self.job.pause()
        self._draw()

    def cancel(self) -> None:
        """Stop the job after the current image; finished images are kept."""
        self.job.cancel()
        self._draw()

    def close(self) -> None:
        """Release the browser's objects; the job goes on."""
        # ipywidgets also closes a widget whose constructor raised.
        if hasattr(self, "_cancel"):
            close_tree(self)
        super().close()

    # -- events ------------------------------------------------------------------------------------

    @property
    def done(self) -> int:
        """The number of processed images, including failed ones."""
        return sum(self.counts.values())

    def _on_event(self, event: Event) -> None:
        if event.status == "done":
            return
        self._latest = event
        if event.status != "found":
            self.counts[event.status] += event.images
        self._masks += int(event.get("masks", 0))
        self._pace = event.get("pace", self._pace)
        if event.status == "failed":
            self._failures.append((event.filename, str(event.get("error", "no reason given"))))
        if time.monotonic() - self._drawn_at >= _DRAW_EVERY:
            self._draw()

    def _tick(self) -> None:
        """Redraw regularly while the job runs: the last event of a burst, and the time left during a slow image."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return

        def again() -> None:
            if not self._ended:
                self._draw()
                loop.call_later(_TICK, again)

        loop.call_later(_TICK, again)

    # -- drawing -----------------------------------------------------------------------------------

    @property
    def _ended(self) -> bool:
        return self.job.state in ("done", "cancelled", "failed") and (self.job.summary or self.job.error) is not None

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        self._note_pause()
        if self._ended and self._ended_at is None:
            self._ended_at = self._drawn_at
        self.title = _title(self.job, self._latest, self.done)
        self._title.value = " ".join(filter(None, [_icon(self.job), escape(self.title)]))
        self._bar.value = _bar(self.counts, max(self.job.total, self.done))
        self._line.value = _line(self.job, self.counts, self._rate, self._masks, self._pace)
        self._details.value = _failures(self._failures)
        self._draw_buttons()
        if self.job.error is not None:
            self._error_line.show(f"{self.job.name} stopped early", self.job.error)

    def _draw_buttons(self) -> None:
        paused = self.job.state == "paused"
        self._pause.description, self._pause.icon = ("Resume", "play") if paused else ("Pause", "pause")
        for button in (self._pause, self._cancel):
            # While the work blocks the kernel, clicks are not handled, but an interrupt of the kernel is.
            button.layout.display = "none" if self._ended or not self.job.in_background else None
            button.disabled = self.job.control.cancelled

    @property
    def _rate(self) -> float:
        """Computed images per second of work; skipped ones cost no time, and a pause is none."""
        now = self._ended_at or time.monotonic()
        paused = self._paused_for + (now - self._paused_at if self._paused_at is not None else 0.0)
        seconds = now - self.job.started - paused
        return self.counts["computed"] / seconds if seconds > 0 else 0.0

    def _note_pause(self) -> None:
        """Measure how long the job is paused, by any caller."""
        paused = self.job.state == "paused"
        if paused and self._paused_at is None:
            self._paused_at = self._drawn_at
        elif not paused and self._paused_at is not None:
            self._paused_for += self._drawn_at - self._paused_at
            self._paused_at = None

    def __repr__(self) -> str:
        return f"<Progress {self.title}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        # The text in a saved notebook: no count, since it would stay at the first one.
        return {**bundle, "text/plain": f"{_doing(self.job.name)}: {count_text(self.job.total, 'image')}"}


def _title(job: Job, latest: Event | None, done: int) -> str:
    if job.error is not None:
        return f"{_doing(job.name)} stopped at {done}/{job.total}"
    if job.summary is not None:
        return summary_text(job.summary)
    if latest is not None and latest.status == "found":
        return f"⏳ {found_text(latest)}"
    icon = "⚡" if latest is not None and latest.status == "skipped" else "⏳"
    return f"{icon} {_doing(job.name)}... {done}/{job.total}"


def _doing(name: str) -> str:
    if name == "prewarm":
        return "Pre-warming cache"
    verb, _, rest = name.partition(" ")
    doing = {"apply": "Applying", "add": "Adding pictures to", "find": "Finding"}
    return f"{doing[verb]} {rest}" if verb in doing and rest else name.capitalize()


def _icon(job: Job) -> str:
    if job.summary is not None and job.summary.get("failed"):
        return "⚠"
    return {"done": "✓", "cancelled": "■", "failed": "⚠"}.get(job.state, "") if job.summary or job.error else ""


def _bar(counts: Counter[str], total: int) -> str:
    parts = "".join(
        f'<div class="samnb-bar-{kind}" style="width:{100 * counts[kind] / total:.2f}%"></div>'
        for kind in ("skipped", "computed", "failed")
        if total and counts[kind]
    )
    done = sum(counts.values())
    values = f'aria-label="images done" aria-valuenow="{done}" aria-valuemax="{total}"'
    return f'<div class="samnb-bar" role="progressbar" {values}>{parts}</div>'


def _line(job: Job, counts: Counter[str], rate: float, masks: int, pace: str) -> str:
    if job.name.startswith("add "):
        said = [f"⚡ {counts['skipped']} unchanged", f"⏳ {counts['computed']} read"]
    else:
        before = "found in the cache" if job.name == "prewarm" else "done before"
        made = {"prewarm": "encoded", "apply": "searched", "find": "searched"}.get(
            job.name.partition(" ")[0], "computed"
        )
        said = [f"⚡ {counts['skipped']} {before}", f"⏳ {counts['computed']} {made}"]
    if masks:
        said.append(count_text(masks, "mask"))
    if counts["failed"]:
        said.append(f"⚠ {counts['failed']} failed")
    if rate and counts["computed"] > 1:
        said.append(f"{rate:.1f} images/s" if rate >= 1 else f"{1 / rate:.1f} s an image")
    if pace:
        said.append(escape(pace))
    left = job.total - sum(counts.values())
    now = ""
    if job.summary is None and job.error is None:
        if job.control.cancelled:
            now = "stopping after the current image …"
        elif job.state == "paused":
            now = "paused after the current image"
        elif rate and left > 0:
            now = f"about {_duration(max(left / rate, 1))} left"
        if not job.in_background:
            now = f"{now} · interrupt the kernel to stop and keep what is done".removeprefix(" · ")
    sides = "".join(style.span(side) for side in (" · ".join(said), now))
    return f'<div class="samnb-spread samnb-dim samnb-number">{sides}</div>'


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"


def _failures(failures: list[tuple[str, str]]) -> str:
    if not failures:
        return ""
    shown = "".join(f"<li><b>{escape(name)}</b> {escape(reason)}</li>" for name, reason in failures[:_FAILURES_SHOWN])
    more = more_text(len(failures), _FAILURES_SHOWN, "in the job's events")
    rest = f"<li>{more}</li>" if more else ""
    return f'<details><summary>{len(failures)} failed</summary><ul class="samnb-failures">{shown}{rest}</ul></details>'
