"""`say`: every line that the command writes, without what a terminal would act on; and `option`, for its arguments."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..jobs import Event, Job
from ..json_files import parse_json
from ..printable import printable


def say(text: object, *, error: bool = False) -> None:
    """Write to standard output, or with `error` to standard error."""
    print(printable(str(text), lines=True), file=sys.stderr if error else sys.stdout, flush=True)


def option(text: str) -> tuple[str, Any]:
    """``polygons=true`` as a name and a value: JSON, or else text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE; got {text!r}")
    try:
        return name, parse_json(value)
    except ValueError:
        return name, value


def finished(job: Job) -> Event:
    """Wait for a job, which Ctrl-C and SIGTERM cancel; say which images failed, and return its last event.

    Batch systems send SIGTERM some seconds before they end a process.
    """
    try:
        with _terminating_interrupts():
            last = job.wait()
    except KeyboardInterrupt:
        job.cancel()
        last = job.wait()
    for event in job.events:
        if event.status == "failed":
            say(f"⚠ {event.filename}: {event['error']}", error=True)
    return last


@contextmanager
def _terminating_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class LogFormatter(logging.Formatter):
    """Log lines: the message, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text for a terminal."""
        return printable(super().format(record), lines=True)
