"""`say`: every line that the command writes, without what a terminal would act on."""

from __future__ import annotations

import logging
import sys

from ..printable import printable


def say(text: object, *, error: bool = False) -> None:
    """Write to standard output, or with `error` to standard error."""
    print(printable(str(text), lines=True), file=sys.stderr if error else sys.stdout, flush=True)


class LogFormatter(logging.Formatter):
    """Log lines: the message, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text for a terminal."""
        return printable(super().format(record), lines=True)
