"""The Upload widget: adds pictures and zip files from the browser's computer to a dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets

from ..images.discovery import IMAGE_SUFFIXES
from .common import style
from .common.closing import close_tree
from .common.error_line import ErrorLine, show_errors
from .progress import Progress

if TYPE_CHECKING:
    from ..ingest.add import IngestJob
    from ..ingest.report import AddReport
    from .session_protocol import UploadSession


class Upload(ipywidgets.VBox):
    """Choose files in the browser; they are added at once, and the result is shown in place.

    The bytes are sent in one message: for more than some megabytes, drop the files into JupyterLab's file browser
    and call `Session.add` on that folder.

    Parameters
    ----------
    session : Session
    dataset : str
        The dataset of the pictures.
    on_added : callable, optional
        Called after files were added.

    Examples
    --------
    What is chosen in the browser is given to `add`, which takes a path too.

    >>> upload = Upload(session, dataset="tuesday")
    >>> upload.add(folder / "pictures" / "photos" / "camera.png")
    >>> _ = upload.job.wait()
    >>> len(session.images("tuesday")), upload.report.added
    (1, 1)
    >>> upload.close()
    """

    def __init__(
        self, session: UploadSession, *, dataset: str = "default", on_added: Callable[[], None] = lambda: None
    ):
        self.session, self.dataset, self._on_added = session, dataset, on_added
        self.job: IngestJob | None = None
        self._files = ipywidgets.FileUpload(
            accept=",".join([*sorted(IMAGE_SUFFIXES), ".zip"]),
            multiple=True,
            description="Choose pictures or zip files",
            tooltip=f"Add files from this computer to dataset {dataset}",
        )
        for name in ("samnb-button", "samnb-primary"):
            self._files.add_class(name)
        self._files.layout.flex = "none"
        self._files.observe(self._chosen, "value")
        self._where = style.html(style.span(f"They go to dataset {dataset!r}.", "dim"), "samnb-grow")
        self._news = ipywidgets.VBox()
        self._news.layout.display = "none"
        self._error_line = ErrorLine()
        head = style.box(self._files, self._where, classes=("samnb-row",))
        super().__init__([style.sheet(), head, self._news, self._error_line])
        self.add_class("samnb")
        self.layout.max_width = "720px"

    @property
    def report(self) -> AddReport | None:
        """The report of the last files; None while they are added."""
        return None if self.job is None else self.job.report

    @show_errors("These files were not added")
    def add(self, source: Any) -> None:
        """Add files as `Session.add_job` does, and show progress; the button waits until it is done."""
        self._error_line.dismiss()
        self._files.disabled = True
        try:
            self.job = self.session.add_job(source, dataset=self.dataset, show=False)
        except BaseException:
            self._files.disabled = False
            raise
        progress = Progress(self.job)
        progress.remove_class("samnb")  # this widget is its frame
        for before in self._news.children:
            close_tree(before)
        self._news.children = [progress]
        self._news.layout.display = None
        self.job.subscribe(lambda event: None, finished=self._ended)

    def close(self) -> None:
        """Release the browser's objects; files that are being added go on."""
        # ipywidgets also closes a widget whose constructor raised.
        if hasattr(self, "_error_line"):
            close_tree(self)
        super().close()

    def show_error(self, what: str, error: BaseException) -> None:
        """Show an error in the red line."""
        self._error_line.show(what, error)

    def _chosen(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self.add(change["new"])

    def _ended(self) -> None:
        # Emptied, so that the bytes are released, and choosing the same files again is a change.
        self._files.value = ()
        self._files.disabled = False
        self._on_added()

    def __repr__(self) -> str:
        return f"<Upload to {self.dataset!r}>"
