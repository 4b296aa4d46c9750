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

        Returns
        -------
        TemplateReport
            Its `overall` has `precision`, `recall`, `f1` and `mean_iou`; `failed` has images that cannot be searched.

        Raises
        ------
        TemplateError
            Another `min_iou`.
        NothingToMeasure
            No such images.
        UnknownName
            No such template, dataset or image.
        UnknownOption
            Both `dataset` and `images`.
        TemplateMismatch, CheckpointError
            Made with another model, or it compares the features of one whose weights are not here.

        Examples
        --------
        >>> template = session.template("coins", max_objects=3)
        >>> truth = session.accept(session.predict("coins_2.png", points=[(102, 106)]), category="coin")
        >>> report = session.evaluate(template)
        >>> report.overall.wanted, [image.image for image in report.images]
        (1, ['coins_2.png'])
        >>> 0 <= report.overall.f1 <= 1
        True
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
            A saved one by its name.
        grid : mapping of str to sequence of float
            Values to try, such as ``{"min_score": [0.2, 0.3, 0.4], "refine": [0, 2]}``; see
            `samnb.templates.DEFAULT_PARAMETERS`.
        dataset, images, min_iou, on_examples
            As for `evaluate`.

        Returns
        -------
        Sweep
            Its `rows` have a tally for each combination; `best` has the parameters of the first.

        Raises
        ------
        TemplateError, UnknownOption
            An unknown parameter, a value out of its range, also of `min_iou`; an empty grid; both `dataset` and
            `images`.
        NothingToMeasure
            No images with annotations by hand, but for the template's own examples.
        UnknownName
            No such template, dataset or image.
        TemplateMismatch, CheckpointError
            As for `evaluate`.
        ImageError
            An image is not encoded, and its file is gone, cannot be read or has other pixels now.

        Examples
        --------
        >>> template = session.template("coins", max_objects=3)
        >>> swept = session.sweep(template, {"min_score": [0.3, 1]}, on_examples=True)
        >>> len(swept.rows), swept.best
        (2, {'min_score': 0.3})
        >>> template = session.save_template(template.with_parameters(**swept.best))
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

        The first click goes to the middle of an object, every further one into the middle of the largest error.
        Embeddings come from the cache; missing ones are computed.

        Parameters
        ----------
        dataset : str, optional
            None: all images.
        category : str, optional
            Only objects of this one; None: of all.
        max_clicks : int
            The cap for an object that never reaches an IoU of 0.90, at least 1.
        baselines : sequence of str
            Other methods that get the same clicks, to compare: "flood_fill", "grabcut", "random_walker".
        limit : int, optional
            The maximum number of objects, drawn with `seed`; None: all.
        seed : int
            0 or more: of the draw, and of the intervals.
        on : Client, str or Executor, optional
            Workers, as for `prewarm`.
        on_case : callable, optional
            Called with each `samnb.evaluation.cases.Case` after its clicks; with `on` it is not called.

        Returns
        -------
        ModelReport
            Its `overall` has the mean IoU after 1, 3 and 5 clicks (`iou_1`, …), and the mean number of clicks to an IoU
            of 0.85 and 0.90 (`noc_85`, `noc_90`). Pictures that cannot be read are in `failed`.

        Raises
        ------
        NothingToMeasure
            No such objects annotated by hand.
        UnknownName
            No such dataset, category or baseline.
        PromptError
            `max_clicks` or `limit` below 1, `seed` below 0.
        UnknownOption, WorkersLost, PackageMissing
            `on` is none of these, its workers do not answer, or the package "distributed" is not installed.

        Examples
        --------
        >>> report = session.evaluate_model(category="coin", max_clicks=3)
        >>> report.overall.cases, report.overall.iou_1 > 0.9
        (1, True)
        """
        chosen = self._annotations.find(category=category, image=None, dataset=dataset)
        by_hand = [annotation.record for annotation in chosen if annotation.source == BY_HAND]
        source: Any = {"name": self.name, "pixels": self._library.pixels}
        source["embedding"] = lambda image: self._encoder.embedding(self._library.read(image), urgent=True)
        how: Any = {"max_clicks": max_clicks, "baselines": baselines}
        elsewhere = None if on is None else simulate_on(on, self._encoder, self._library.image, **how)
        how |= {"limit": limit, "seed": seed, "on_case": on_case, "elsewhere": elsewhere}
        return evaluate_annotations(by_hand, self.model, **source, **how)
