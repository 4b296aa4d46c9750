"""`Session`: every action of the widgets is a method here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from .annotations.changes import AnnotationChanges
from .annotations.service import AnnotationService
from .cache import EmbeddingCache
from .cards import count_text
from .catalog import Catalog
from .catalog.database_file import catalog_url
from .duplicates.service import DuplicateService
from .encoding.cache_options import check_cache_options, open_cache
from .encoding.encoder import Encoder
from .encoding.other_models import OtherModels
from .encoding.predict import Predictor
from .encoding.prefetch import Prefetcher
from .ingest.library import ImageLibrary
from .ingest.relocate import follow_folder
from .ingest.session_folder import make_session_folder, session_folder
from .models import check_draws, load_model
from .proposals.service import ProposalService
from .replay.replay import Replayer
from .session_arguments import checks_arguments
from .session_methods.annotations import AnnotationMethods
from .session_methods.categories import CategoryMethods
from .session_methods.datasets import DatasetMethods
from .session_methods.duplicates import DuplicateMethods
from .session_methods.embeddings import EmbeddingMethods
from .session_methods.evaluations import EvaluationMethods
from .session_methods.exchange import ExchangeMethods
from .session_methods.image_states import ImageStateMethods
from .session_methods.kept_proposals import KeptProposalMethods
from .session_methods.pixels import PixelMethods
from .session_methods.proposals import ProposalMethods
from .session_methods.reviews import ReviewMethods
from .session_methods.stacks import StackMethods
from .session_methods.templates import TemplateMethods
from .status import Status
from .templates.service import TemplateService

__all__ = ["Session", "catalog_url", "session_folder"]


@checks_arguments
class Session(
    DatasetMethods,
    PixelMethods,
    DuplicateMethods,
    EmbeddingMethods,
    AnnotationMethods,
    CategoryMethods,
    ImageStateMethods,
    StackMethods,
    ProposalMethods,
    KeptProposalMethods,
    TemplateMethods,
    ReviewMethods,
    EvaluationMethods,
    ExchangeMethods,
):
    """A folder with images, known by their pixels, with their embeddings and their annotations.

    Parameters
    ----------
    folder : path, optional
        Created, or opened and upgraded. None: "samnb/default" in the user's data folder.
    model : str
        Registry name, see `samnb.models.available_models`.
    checkpoint : path, optional
        Weight file of the model; the embedded "tiny" needs none.
    device : str
        "auto", "cpu", "cuda", "cuda:1", "mps".
    precision : str
        Of encoding: "float32", "float16", "bfloat16", or "auto", which may check this machine once: docs/models.md.
    database_url : str, optional
        SQLAlchemy URL of the catalog; None: "catalog.db" in the folder, or the DATABASE_URL variable.
    cache : EmbeddingCache or dict, optional
        Your own store, or options of `samnb.EmbeddingCache` for the session's: dtype, memory_bytes, remote, …

    Attributes
    ----------
    folder : Path
        Where the catalog, the embeddings and stored pictures are.
    name : str
        The folder's name.
    model : Model
        With its `name` and `device`.
    catalog : Catalog
        The database with images, annotations, categories and templates.
    cache : EmbeddingCache
        The store of embeddings.
    changes : AnnotationChanges
        Subscribe here to learn of every change of annotations in this process.

    Raises
    ------
    UnknownName
        No such model.
    CheckpointError
        The weight file is missing, damaged or of another model.
    SessionReadOnly, SessionTooNew
        The folder cannot be written, or is of a newer version and cannot even be read. A newer one that can be read
        is opened read-only: `catalog.read_only` is True, and every change raises `SessionTooNew`.

    Examples
    --------
    The examples of the methods go on from here. Everything that is changed is in the session's folder at once. When the
    work is done, call ``session.close()``.

    >>> import pathlib, tempfile, samnb
    >>> import numpy as np
    >>> from samnb.demo import demo_pictures
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> session = samnb.Session(folder / "session")
    >>> session.add(demo_pictures(folder / "pictures") / "monday", dataset="monday", show=False).added
    6
    >>> coin = session.accept(session.predict("coins_1.png", points=[(102, 106)]), category="coin")
    >>> coin.category, coin.score > 0.9
    ('coin', True)
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        model: str = "tiny",
        checkpoint: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        database_url: str | None = None,
        cache: EmbeddingCache | Mapping[str, Any] | None = None,
    ):
        check_cache_options(cache)
        self.folder = session_folder(folder)
        self.model = load_model(model, checkpoint=checkpoint, device=device, precision=precision)
        check_draws(self.model)
        make_session_folder(self.folder)
        self.catalog = Catalog(catalog_url(self.folder, database_url), folder_for_messages=self.folder)
        self.cache = open_cache(self.folder, cache)
        self.changes = AnnotationChanges()
        opened: dict[str, Any] = {"checkpoint": str(checkpoint or ""), "device": device}
        opened["overviews"] = self.folder / "overviews"
        self._encoder = Encoder(self.model, self.cache, self.catalog, **opened, owns_cache=self.cache is not cache)
        self._others = OtherModels(self._encoder)
        self._predictor = Predictor(self._encoder, self.model)
        self._library = ImageLibrary(self.catalog, self.folder, self._encoder)
        self._prefetcher = Prefetcher(self._encoder, read=self._library.read)
        self._annotations = AnnotationService(self.catalog, self._library, self.model, self.changes)
        self._templates = TemplateService(self.catalog, self._library, self._encoder, self._others, self.changes)
        made_of = self.catalog, self._library, self._encoder, self._templates, self._annotations
        self._proposals = ProposalService(*made_of, self.changes)
        self._duplicates = DuplicateService(self.catalog, self._library)
        self._replayer = Replayer(self._library, self._annotations, self._templates, self._encoder)
        follow_folder(self.catalog, self.folder)
        self.catalog.refresh_cached(self._encoder.is_known)

    def status(self) -> Status:
        """A summary of the session; the numbers of the cache are read from the store now.

        Returns
        -------
        Status
            A card in a notebook, text in a terminal; ``status["images"]`` is one number, ``dict(status)`` has all.

        Examples
        --------
        >>> import numpy as np, samnb, tempfile
        >>> with samnb.Session(tempfile.mkdtemp()) as session:
        ...     report = session.add(np.zeros((60, 80, 3), np.uint8), show=False)
        ...     session.status()["images"], session.status()["coverage_percent"]
        (1, 0.0)
        """
        return Status.read(self._encoder, self.folder)

    def close(self) -> None:
        """Wait for unfinished writes, and close the catalog; do not use the session afterwards.

        A ``with`` block does it at its end. To close a session a second time does nothing.

        Examples
        --------
        >>> import samnb, tempfile
        >>> session = samnb.Session(tempfile.mkdtemp())
        >>> session.close()
        """
        self._prefetcher.close()
        self._others.close()
        self._encoder.close()
        self.catalog.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        images = sum(dataset.images for dataset in self.datasets())
        return f"<Session {self.name}: {count_text(images, 'image')}, model {self.model.name}>"

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()
