"""The widgets: `Annotator`, `LookalikeReview`, `Review`, `Tuner`, `Upload`, a job's `Progress`.

Imports ipywidgets. The examples go on from that of `samnb.Session`.
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
    """Display the Progress widget of a job under the cell and return it.

    Parameters
    ----------
    job : Job
        Running or ended, as `Session.prewarm` returns it with ``show=False``.

    Returns
    -------
    Progress
        The widget; it follows the job until `Progress.close`.

    Examples
    --------
    >>> job = session.prewarm("monday", show=False)
    >>> progress = show_progress(job)
    <Progress ...>
    >>> job.wait().total, progress.done
    (6, 6)
    >>> progress.close()
    """
    progress = Progress(job)
    display(progress)
    return progress
