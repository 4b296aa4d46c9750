"""`DroppedFiles`: adds files that are dropped on the annotator to the dataset that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...cards import count_text
from ..common.error_line import show_errors
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ...ingest.add import IngestJob
    from ..session_protocol import AnnotatorSession
    from .editor import Editor
    from .layout import AnnotatorLayout


@dataclass(eq=False)
class DroppedFiles(AnnotatorPart):
    """Adds pictures and zip files in the background; they appear in the filmstrip once they are there.

    Attributes
    ----------
    dataset : str or None
        Where they go; None: the dataset of the image shown, or "default".
    """

    session: AnnotatorSession
    editor: Editor
    layout: AnnotatorLayout
    dataset: str | None

    @show_errors("The files were not added")
    def add_files(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Add files, each with its name and its bytes."""
        if not files:
            self.layout.say("no files were dropped")
            return
        image = self.editor.image
        dataset = self.dataset or (image.dataset if image is not None else "default")
        job = self.session.add_job(list(files), dataset=dataset, show=False)
        self.layout.say(f"adding {count_text(len(files), 'file')} to {dataset!r} …")
        job.subscribe(lambda event: None, finished=lambda: self._added(job))

    def _added(self, job: IngestJob) -> None:
        if job.error is not None:
            error = job.error if isinstance(job.error, Exception) else RuntimeError(str(job.error))
            self.show_error("The files were not added", error)
        elif job.report is not None:
            self.layout.tell(str(job.report).splitlines()[0])
