"""`search_on`: finds a template's objects on workers; `ApplyWork` is what a worker does.

A worker reads or computes the embedding, searches, and returns masks as run lengths. The session's process compares
them with existing annotations, and alone writes to the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from ..encoding.encoder import Encoder
from ..encoding.on_workers import WorkerSetup, make_folder, worker_encoder
from ..encoding.other_models import OtherModels
from ..encoding.search_events import Numbered, SearchMany
from ..jobs import JobControl
from ..workers import Coordinator, Done, attempt, open_pool
from .apply import search_image
from .other_features import FeatureReader
from .template import Template


@dataclass(frozen=True)
class ApplyWork:
    """Searches ``(number, ImageRecord)`` items, on a worker; a `samnb.workers.Work`.

    Parameters
    ----------
    template : Template
    setup : WorkerSetup
        Of the model that draws the masks.
    features : WorkerSetup, optional
        Of the model whose features the template compares, if that is another one.
    """

    template: Template
    setup: WorkerSetup
    features: WorkerSetup | None = None

    def open(self) -> tuple[Encoder, FeatureReader]:
        """The models and the store of this process; raises as `samnb.encoding.on_workers.worker_encoder`."""
        own = worker_encoder(self.setup)
        other = own if self.features is None else worker_encoder(self.features)
        return own, FeatureReader(own, cast(OtherModels, _Opened(other)))

    def __call__(self, items: Sequence[Numbered], control: JobControl) -> Iterator[Done]:
        own, reader = self.open()
        features_of = partial(reader.read, template=self.template)
        for place, (_, image) in enumerate(items):
            if control.cancelled:
                return
            yield attempt(place, partial(search_image, self.template, image, own, features_of))
        own.cache.flush()


@dataclass(frozen=True)
class _Opened:
    """The one other model of a template."""

    one: Encoder

    def encoder(self, name: str) -> Encoder:
        return self.one


def search_on(
    on: Any, template: Template, encoder: Encoder, others: OtherModels, forget_file: Callable[[str], None]
) -> SearchMany:
    """A search on workers, for `samnb.templates.apply.apply_events`.

    Parameters
    ----------
    on
        As for `samnb.workers.open_pool`.
    encoder : Encoder
        Of the model that draws the masks.
    others : OtherModels
    forget_file : callable
        Called with the path of a file that holds other pixels now.
    """

    def search(images: Iterator[Numbered | None], control: JobControl) -> Generator[list[tuple[Numbered, Done]]]:
        features = WorkerSetup.of(others.encoder(template.features)) if template.features else None
        make_folder(encoder.cache)
        pool = open_pool(on)
        try:
            run = Coordinator(pool, ApplyWork(template, WorkerSetup.of(encoder), features), control)
            for results in run.run(images):
                for (_, image), done in results:
                    if done.error_type == "ImageChanged":
                        forget_file(image.path)
                yield results
        finally:
            pool.close()

    return search
