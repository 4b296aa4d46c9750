"""`simulate_on`: simulated clicks on workers; `EvaluateWork` is what a worker does with an image and its annotations.

A worker reads the picture, takes the embedding out of the store or computes it, and simulates the clicks on all objects
of the image. What it returns are IoUs and times, never pixels or masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..encoding.encoder import Encoder
from ..encoding.on_workers import WorkerSetup, make_folder, worker_encoder
from ..images.pixel_cache import read_checked
from ..jobs import JobControl
from ..models import Model
from ..prompts import Embedding
from ..records import AnnotationRecord, Failure, ImageRecord
from ..workers import Coordinator, Done, attempt, open_pool
from .baselines import make_baseline
from .cases import Case, annotated_cases
from .evaluate import ClickSimulation, Elsewhere, simulate

Numbered = tuple[int, ImageRecord, tuple[AnnotationRecord, ...]]


@dataclass(frozen=True)
class EvaluateWork:
    """Simulates the clicks on images with their annotations, on a worker; a `samnb.workers.Work`.

    Parameters
    ----------
    setup : WorkerSetup
    baselines : tuple of str
        Keys of `samnb.evaluation.baselines.BASELINES`.
    max_clicks : int
    """

    setup: WorkerSetup
    baselines: tuple[str, ...] = ()
    max_clicks: int = 20

    def open(self) -> Encoder:
        """The model and the store of this process; raises as `samnb.encoding.on_workers.worker_encoder`."""
        return worker_encoder(self.setup)

    def __call__(self, items: Sequence[Numbered], control: JobControl) -> Iterator[Done]:
        encoder = self.open()
        for place, (_, image, of_image) in enumerate(items):
            if control.cancelled:
                return
            yield attempt(place, partial(self._of_image, encoder, image, of_image))
        encoder.cache.flush()

    def _of_image(
        self, encoder: Encoder, image: ImageRecord, annotations: Sequence[AnnotationRecord]
    ) -> list[ClickSimulation]:
        def pixels(_: str) -> NDArray[np.uint8]:
            return read_checked(image.path, image.pixel_hash, image.dataset)

        def embed(_: Case) -> tuple[Embedding, bool]:
            return encoder.embedding(image)

        found = simulate(
            encoder.model,
            annotated_cases(annotations, pixels),
            baselines=[make_baseline(name) for name in self.baselines],
            max_clicks=self.max_clicks,
            embed=embed,
        )
        # Models stay here, and so does the picture that was encoded last.
        return [replace(one, model=cast(Model, None), embed=None, _encoded=(None, None)) for one in found]


def simulate_on(
    on: Any, encoder: Encoder, image_of: Callable[[str], ImageRecord], *, baselines: Sequence[str], max_clicks: int
) -> Elsewhere:
    """The `elsewhere` of `samnb.evaluation.evaluate.evaluate_annotations`.

    Parameters
    ----------
    on
        As for `samnb.workers.open_pool`.
    encoder : Encoder
    image_of : callable
        An image by its id.
    baselines : sequence of str
    max_clicks : int
    """

    def elsewhere(annotations: Sequence[AnnotationRecord], simulations: Sequence[ClickSimulation]) -> None:
        of_image: dict[str, list[AnnotationRecord]] = {}
        for annotation in annotations:
            of_image.setdefault(annotation.image_id, []).append(annotation)
        items = [(number, image_of(key), tuple(found)) for number, (key, found) in enumerate(of_image.items())]
        make_folder(encoder.cache)
        pool = open_pool(on)
        try:
            work = EvaluateWork(WorkerSetup.of(encoder), tuple(baselines), max_clicks)
            run = Coordinator(pool, work, JobControl(), total=len(items)).run(iter(items))
            results = sorted((pair for pairs in run for pair in pairs), key=lambda pair: pair[0][0])
        finally:
            pool.close()
        for (_, image, _), done in results:
            if done.error:
                simulations[0].failed.append(Failure(image.filename, done.error))
                continue
            for simulation, found in zip(simulations, done.value, strict=True):
                simulation.take(found)

    return elsewhere
