"""`Event`, one step of slow work, and what is said about it: `found_text`, `summary_text`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .cards import count_text

__all__ = ["Event", "found_text", "summary_text"]

Status = Literal["found", "computed", "skipped", "failed", "done"]


@dataclass(frozen=True, repr=False)
class Event:
    """One step of a prewarm, an apply or an addition of images; the last event has status "done".

    Parameters
    ----------
    status : {"found", "computed", "skipped", "failed", "done"}
        "found": the images are still being counted, or, with "to_read" in the details, are read before the work
        begins; `index` is their number so far.
    index : int
        1 for the first image.
    total : int
        Number of images.
    filename : str
        Of the image the event is about; "" in the last event.
    ms : float
        Milliseconds this image took.
    details : dict
        More fields, merged into `as_dict`: the error of a failed image, counts of the last event. ``images``: the
        number of images that the event represents, if it is not 1.

    Examples
    --------
    >>> Event("skipped", index=5, total=50, filename="img.jpg", ms=5).as_dict()
    {'index': 5, 'total': 50, 'filename': 'img.jpg', 'skipped': True, 'ms': 5}
    """

    status: Status
    index: int = 0
    total: int = 0
    filename: str = ""
    ms: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The event as the server version streamed it: `status` becomes a key that is true.

        Returns
        -------
        dict
            Plain values, ready for JSON: "index", "total", "filename", the status, "ms", and the `details`. The last
            event has "done", "total" and the details alone.

        Examples
        --------
        >>> Event("done", total=50, details={"computed": 35}).as_dict()
        {'done': True, 'total': 50, 'computed': 35}
        """
        if self.status == "done":
            return {"done": True, "total": self.total, **self.details}
        return {
            "index": self.index,
            "total": self.total,
            "filename": self.filename,
            self.status: True,
            "ms": round(self.ms) if self.ms >= 1 else self.ms,
            **self.details,
        }

    @property
    def images(self) -> int:
        """Number of images that the event represents; 0 for "found" and "done"."""
        return 0 if self.status in ("found", "done") else self.details.get("images", 1)

    def __repr__(self) -> str:
        shown = {name: value for name, value in self.as_dict().items() if name not in (self.status, "done", "report")}
        return f"<Event {self.status}: {', '.join(f'{name} {value}' for name, value in shown.items())}>"

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A field of `as_dict`, or `default`; ``event[name]`` raises `KeyError` where the field is missing.

        Parameters
        ----------
        name : str
            A key of `as_dict`: "filename", "computed", "error", …
        default : object
            What is returned if the event has no such field.

        Returns
        -------
        object
            The value of the field.

        Examples
        --------
        >>> event = Event("failed", index=2, total=6, filename="b.png", details={"error": "b.png is empty"})
        >>> event.get("error"), event.get("computed", False)
        ('b.png is empty', False)
        """
        return self.as_dict().get(name, default)


def found_text(event: Event) -> str:
    """Text of a "found" event: what a job does before its first image.

    Parameters
    ----------
    event : Event
        Its status is "found".

    Returns
    -------
    str
        How many pictures are found or read so far, for a status line.

    Examples
    --------
    >>> found_text(Event("found", index=300)), found_text(Event("found", index=300, details={"to_read": 1000}))
    ('Looking for pictures... 300 found', 'Reading pictures first... 300/1000')
    """
    if "to_read" in event.details:
        return f"Reading pictures first... {event.index}/{event.details['to_read']}"
    return f"Looking for pictures... {event.index} found"


def summary_text(event: Event) -> str:
    """Text that sums up a job, made from its last event.

    Parameters
    ----------
    event : Event
        Its status is "done": `Job.summary`, or what `Job.wait` returns.

    Returns
    -------
    str
        One line, as the progress bar and the command line show it; "Stopped…" after a cancel.

    Examples
    --------
    >>> details = {"computed": 35, "skipped": 15, "failed": 0, "cache_size": 150}
    >>> summary_text(Event("done", total=50, details=details))
    'Dataset ready (cache: 150 embeddings, computed: 35, skipped: 15)'
    """
    fields = event.as_dict()
    if "summary" in fields:
        return f"Stopped: {fields['summary']}" if fields.get("cancelled") else fields["summary"]
    parts = [f"computed: {fields.get('computed', 0)}", f"skipped: {fields.get('skipped', 0)}"]
    if fields.get("failed"):
        parts.append(f"failed: {fields['failed']}")
    if fields.get("left_out"):
        parts.append(f"left out as done, empty or skip: {fields['left_out']}")
    if "masks" in fields:
        head = f"{count_text(fields['masks'], 'mask')} found"
    else:
        nothing = fields.get("failed") and not fields.get("computed") and not fields.get("skipped")
        head = "Nothing encoded" if nothing else "Dataset ready"
        parts.insert(0, f"cache: {count_text(fields.get('cache_size', 0), 'embedding')}")
    if fields.get("cancelled"):
        head = "Stopped" if "masks" not in fields else f"Stopped, {head}"
    return f"{head} ({', '.join(parts)})"
