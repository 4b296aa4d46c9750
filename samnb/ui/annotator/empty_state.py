"""`EmptyState`: what the annotator of a session without pictures shows: how to add some, and the upload."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets

from ..common import style
from ..upload import Upload

if TYPE_CHECKING:
    from ..session_protocol import UploadSession


class EmptyState(ipywidgets.VBox):
    """Words and an `Upload` in the place of the picture.

    Parameters
    ----------
    session : Session
    dataset : str or None
        The dataset that the pictures go to; None: "default".
    on_added : callable
        Called after files were added.
    """

    def __init__(self, session: UploadSession, dataset: str | None, on_added: Callable[[], None]):
        upload = Upload(session, dataset=dataset or "default", on_added=on_added)
        upload.remove_class("samnb")  # the annotator is its frame
        where = f'"photos/", dataset="{dataset}"' if dataset else '"photos/"'
        super().__init__(
            [
                style.html(style.span("No pictures here yet", "strong")),
                style.html(style.span(f"Add a folder in a cell: session.add({where})", "dim")),
                style.html(style.span("or files from this computer:", "dim")),
                upload,
            ]
        )
        self.add_class("samnb-empty")
