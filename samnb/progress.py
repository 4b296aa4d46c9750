"""Show a running `Job`: a widget in a notebook, a tqdm bar elsewhere."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

from tqdm import tqdm

from .jobs import Event, Job, found_text, summary_text
from .printable import printable

__all__ = ["in_notebook", "run_shown", "show_bar", "show_job"]


def show_job(job: Job) -> None:
    """The Progress widget when this is a Jupyter kernel, a tqdm bar when not."""
    if in_notebook():
        # Imported at run time: the core knows no widgets, and scripts do not need them.
        importlib.import_module("samnb.widgets").show_progress(job)
    else:
        show_bar(job)


def run_shown(job: Job, *, show: bool = True, after: float = 1.0) -> Any:
    """Run a job that was not started, show it when it takes longer than `after` seconds, and return its report.

    Parameters
    ----------
    job : Job
    show : bool
        False: never show it.
    after : float
        Seconds; a shorter job needs no bar.

    Raises
    ------
    KeyboardInterrupt
        The job was cancelled; see `samnb.jobs.Job.run_to_report`.
    """
    shown = not show

    def show_when_slow() -> None:
        nonlocal shown
        if not shown and time.monotonic() - job.started > after:
            shown = True
            show_job(job)

    return job.run_to_report(every=show_when_slow)


def in_notebook() -> bool:
    """True inside a Jupyter kernel, false in scripts, tests and plain IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


def show_bar(job: Job) -> tqdm:
    """A tqdm bar on standard error that follows the job; silent where that is no terminal."""
    is_adding = job.name.startswith("add ")
    skipped, computed = ("⚡ unchanged", "⏳ read") if is_adding else ("⚡ skipped (cached)", "⏳ computing")
    icons = {"skipped": skipped, "computed": computed, "failed": "⚠ failed"}
    bar = tqdm(total=job.total or None, desc=printable(job.name), unit="image", disable=None)

    def draw(event: Event) -> None:
        if event.status == "done":
            bar.set_postfix_str(summary_text(event))
        elif event.status == "found":
            bar.set_postfix_str(found_text(event))
        else:
            bar.total = job.total
            # Not drawn at once: a terminal takes longer for a line than a small file takes to be read.
            bar.set_postfix_str(f"{icons[event.status]} {printable(event.filename)}", refresh=False)
            bar.update(event.images)

    job.subscribe(draw, finished=bar.close)
    return bar
