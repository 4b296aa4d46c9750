"""`SessionParts`: what the methods of a session work with."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, TypeVar

from ..annotations.changes import AnnotationChanges
from ..annotations.service import AnnotationService
from ..cache import EmbeddingCache
from ..catalog import Catalog
from ..duplicates.service import DuplicateService
from ..encoding.encoder import Encoder
from ..encoding.other_models import OtherModels
from ..encoding.predict import Predictor
from ..encoding.prefetch import Prefetcher
from ..ingest.library import ImageLibrary
from ..jobs import Job
from ..models import Model
from ..progress import show_job
from ..proposals.service import ProposalService
from ..replay.replay import Replayer
from ..templates.service import TemplateService

AnyJob = TypeVar("AnyJob", bound=Job)


class SessionParts:
    """What the methods of a session work with; `samnb.session.Session` makes them."""

    folder: Path
    model: Model
    catalog: Catalog
    cache: EmbeddingCache
    changes: AnnotationChanges
    _encoder: Encoder
    _others: OtherModels
    _predictor: Predictor
    _library: ImageLibrary
    _prefetcher: Prefetcher
    _annotations: AnnotationService
    _templates: TemplateService
    _proposals: ProposalService
    _duplicates: DuplicateService
    _replayer: Replayer

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name


def shown(job: AnyJob, show: bool) -> AnyJob:
    """The job, with its progress shown."""
    if show:
        show_job(job)
    return job


def widget(name: str, *arguments: Any, **options: Any) -> Any:
    """A widget, imported at run time: scripts do not need the widgets."""
    return getattr(importlib.import_module("samnb.widgets"), name)(*arguments, **options)
