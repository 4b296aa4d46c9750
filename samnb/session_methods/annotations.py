"""The methods of `samnb.session.Session` about prompts and annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..annotations.annotation import Annotation, Annotations
from ..encoding.regions import Region
from ..masks.part import MaskPart
from ..prompts import Prediction, Prompt, one_prompt
from ..records import ImageRef
from .parts import SessionParts, widget

if TYPE_CHECKING:
    from ..widgets import Annotator


class AnnotationMethods(SessionParts):
    """Masks from prompts, and the annotations that they become."""

    def predict(
        self,
        image: ImageRef,
        *,
        points: Sequence[Sequence[float]] | NDArray[Any] | None = None,
        point_labels: Sequence[int] | NDArray[Any] | None = None,
        box: Sequence[float] | None = None,
        prompt: Prompt | None = None,
        multimask: bool = True,
        mask_input: NDArray[np.float32] | None = None,
        region: Region | None = None,
    ) -> Prediction:
        """Masks for one object; the encoder runs only if the image was never encoded before.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        points : (N, 2), optional
            (x, y) in image pixels.
        point_labels : (N,), optional
            1 foreground, 0 background; default: all foreground.
        box : (x0, y0, x1, y1), optional
            Image pixels.
        prompt : Prompt, optional
            Instead of the three above.
        multimask : bool
            Three candidate masks, or one.
        mask_input : (h, w) float32, optional
            One of the `Prediction.low_res_logits` of an earlier prompt for the same object in the same region.
        region : (x0, y0, x1, y1), optional
            Whole image pixels: encode this part of the image separately, so that small objects keep their detail;
            `samnb.encoding.regions.region_around` gives one on a grid, which later calls find again. Masks end at it.

        Raises
        ------
        PromptError
            An empty prompt, wrong shapes, a point outside the image or the region.
        UnknownName
            No such image.
        """
        record, given = self._library.read(image), one_prompt(prompt, points, point_labels, box)
        options: Any = {"multimask": multimask, "mask_input": mask_input, "region": region}
        return self._predictor.predict(record, given, **options)

    def accept(self, prediction: Prediction, *, category: str, index: int | None = None) -> Annotation:
        """Save one mask of a prediction as an annotation; it is in the catalog when this returns.

        Parameters
        ----------
        prediction : Prediction
        category : str
            Class name; a new one is added.
        index : int, optional
            Which mask; None: the one with the highest score.

        Raises
        ------
        PromptError
            No such mask, an empty mask, an empty category.
        """
        return self._annotations.accept(prediction, category=category, index=index)

    def accept_mask(
        self,
        image: ImageRef,
        mask: NDArray[np.bool_] | MaskPart,
        *,
        category: str,
        prompt: Prompt | None = None,
        score: float = 1.0,
    ) -> Annotation:
        """Save a mask that was drawn or edited by hand; it is in the catalog when this returns.

        Parameters
        ----------
        image : str, path or ImageRecord
        mask : (H, W) bool
            Of the image's size.
        category : str
        prompt : Prompt, optional
            The prompt whose mask was edited.
        score : float
            The model's estimate for the mask that was edited; 1 for one drawn by hand.

        Raises
        ------
        PromptError
            A mask of another size, an empty mask, an empty category.
        """
        return self._annotations.accept_mask(image, mask, category=category, prompt=prompt, score=score)

    def annotations(
        self, *, category: str | None = None, image: ImageRef | None = None, dataset: str | None = None
    ) -> Annotations:
        """Annotations in the order they were made.

        Raises
        ------
        UnknownName
            No such category, image or dataset.
        """
        return self._annotations.find(category=category, image=image, dataset=dataset)

    def annotation_counts(self, dataset: str | None = None, *, review: str | None = None) -> dict[str, int]:
        """Number of annotations by image id, with `review` only of that state ("unsure"). No masks are read for it."""
        return self.catalog.count_annotations(dataset, review=review)

    def update(
        self,
        annotation: Annotation | int,
        *,
        mask: NDArray[np.bool_] | MaskPart | None = None,
        category: str | None = None,
        layer: int | None = None,
        prompt: Prompt | None = None,
        score: float | None = None,
        attributes: Mapping[str, bool | str] | None = None,
    ) -> Annotation:
        """Change an annotation and keep its id; omitted values stay.

        An annotation that a template made counts as accepted when anything of it but its score is changed here.

        Parameters
        ----------
        annotation : Annotation or int
            Or its id.
        mask : (H, W) bool, optional
        category : str, optional
        layer : int, optional
            Higher ones are on top; of equal ones the later annotation is.
        prompt : Prompt, optional
        score : float, optional
        attributes : mapping of str to bool or str, optional
            All of them; those left out become False or "". See `add_attribute`.

        Raises
        ------
        UnknownName
            It was deleted; an attribute that was not declared.
        PromptError
            A mask of another size, an empty mask, an empty category.
        """
        values: Any = {"mask": mask, "category": category, "layer": layer, "prompt": prompt, "score": score}
        return self._annotations.update(annotation, **values, attributes=attributes)

    def remove(self, annotation: Annotation | int) -> bool:
        """Delete an annotation; False if it was deleted already."""
        return self._annotations.remove(annotation)

    def restore(self, annotations: Iterable[Annotation], *, changed_from: Iterable[Annotation] = ()) -> None:
        """Restore annotations: a deleted one comes back under its old id, a changed one gets its old values.

        Parameters
        ----------
        annotations : iterable of Annotation
        changed_from : iterable of Annotation, optional
            The expected present state of each: only values in which the two differ are written, so that changes made
            elsewhere meanwhile stay.

        Raises
        ------
        UnknownName
            Their image was deleted.
        """
        self._annotations.restore(annotations, changed_from=changed_from)

    def merge(self, annotations: Iterable[Annotation | int]) -> Annotation:
        """Make one annotation of two or more of one image: the first gets the pixels of all, the others are removed.

        Attributes that the first one does not have come from the others.

        Raises
        ------
        PromptError, UnknownName
            Fewer than two, of several images; one was deleted. Nothing has changed then.
        """
        return self._annotations.merge(list(annotations))

    def split(self, annotation: Annotation | int) -> Annotations:
        """Make an annotation of each connected part: the largest part keeps the id, the others come after it.

        Raises
        ------
        PromptError, UnknownName
            Its mask is one piece; it was deleted.
        """
        return self._annotations.split(annotation)

    def copy_annotations(self, annotations: Iterable[Annotation], image: ImageRef) -> Annotations:
        """Save the same objects on another image of the same size, as made by hand; returns the new annotations.

        Raises
        ------
        PromptError
            The image has another size.
        """
        return self._annotations.copy(annotations, self._library.read(image))

    def annotate(self, image: ImageRef | None = None, *, dataset: str | None = None) -> Annotator:
        """The annotator widget, for the last line of a notebook cell."""
        return widget("Annotator", self, image=image, dataset=dataset)
