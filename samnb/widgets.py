"""The widgets: `Annotator`, `LookalikeReview`, `Review`, `Tuner`, `Upload`, a job's `Progress`.

Imports ipywidgets.
"""

from __future__ import annotations

from IPython.display import display

from .jobs import Job
from .ui.annotator.annotator import Annotator
from .ui.progress import Progress
from .ui.review.duplicate_review import LookalikeReview
from .ui.review.template_review import Review
from .ui.tuner.tuner import Tuner
from .ui.upload import Upload

__all__ = ["Annotator", "LookalikeReview", "Progress", "Review", "Tuner", "Upload", "show_progress"]


def show_progress(job: Job) -> Progress:
    """Display the Progress widget of a job under the cell and return it."""
    progress = Progress(job)
    display(progress)
    return progress
