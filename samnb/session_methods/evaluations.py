"""The methods of `samnb.session.Session` about evaluations of templates and of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..evaluation.evaluate import evaluate_annotations
from ..evaluation.on_workers import simulate_on
from ..records import BY_HAND, ImageRef
from ..templates import Template
from ..templates.report import Sweep, TemplateReport
from .parts import SessionParts

if TYPE_CHECKING:
    from ..evaluation.cases import Case
    from ..evaluation.report import ModelReport


class EvaluationMethods(SessionParts):
    """How good the masks of a template, or of the model, are."""

    def evaluate(
        self,
        template: Template | str,
        *,
        dataset: str | None = None,
        images: Iterable[ImageRef] | None = None,
        min_iou: float = 0.5,
        on_examples: bool = False,
    ) -> TemplateReport:
        """Precision and recall of a template on the annotations by hand; nothing is written.

        Only images with annotations by hand of the template's categories are searched, and all of their objects must
        be annotated: a found object without an annotation counts as false.

        Parameters
        ----------
        template : Template or str
            A saved one by its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these.
        min_iou : float
            Lowest IoU at which a mask counts as the object, above 0 and up to 1.
        on_examples : bool
            Also on the images with the template's own examples, which gives too good a result.

        Raises
        ------
        TemplateError
            Another `min_iou`.
        NothingToMeasure
            No such images.
        """
        which: Any = {"dataset": dataset, "images": images, "min_iou": min_iou}
        return self._templates.evaluate(template, on_examples=on_examples, **which)

    def sweep(
        self,
        template: Template | str,
        grid: Mapping[str, Sequence[float]],
        *,
        dataset: str | None = None,
        images: Iterable[ImageRef] | None = None,
        min_iou: float = 0.5,
        on_examples: bool = False,
    ) -> Sweep:
        """Evaluate a template with every combination of parameters; the best F1 comes first.

        Parameters
        ----------
        template : Template or str
        grid : mapping of str to sequence of float
            Values to try, such as ``{"min_score": [0.2, 0.3, 0.4], "refine": [0, 2]}``.
        dataset, images, min_iou, on_examples
            As for `evaluate`.

        Raises
        ------
        TemplateError, UnknownOption
            An unknown parameter, a value out of its range, an empty grid.
        NothingToMeasure
            No images with annotations by hand.
        """
        options: Any = {"dataset": dataset, "images": images, "min_iou": min_iou, "on_examples": on_examples}
        return self._templates.sweep(template, grid, **options)

    def evaluate_model(
        self,
        *,
        dataset: str | None = None,
        category: str | None = None,
        max_clicks: int = 20,
        baselines: Sequence[str] = (),
        limit: int | None = None,
        seed: int = 0,
        on: Any = None,
        on_case: Callable[[Case], object] | None = None,
    ) -> ModelReport:
        """Evaluate the session's model on these pictures, by simulated clicks on objects annotated by hand.

        Embeddings come from the cache; missing ones are computed. `on` names workers, as in `prewarm`; `on_case` is not
        called then. For the other parameters, and errors, see `samnb.evaluation.evaluate.evaluate_annotations`.
        """
        chosen = self._annotations.find(category=category, image=None, dataset=dataset)
        by_hand = [annotation.record for annotation in chosen if annotation.source == BY_HAND]
        source: Any = {"name": self.name, "pixels": self._library.pixels}
        source["embedding"] = lambda image: self._encoder.embedding(self._library.read(image), urgent=True)
        how: Any = {"max_clicks": max_clicks, "baselines": baselines}
        elsewhere = None if on is None else simulate_on(on, self._encoder, self._library.image, **how)
        how |= {"limit": limit, "seed": seed, "on_case": on_case, "elsewhere": elsewhere}
        return evaluate_annotations(by_hand, self.model, **source, **how)
