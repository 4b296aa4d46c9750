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
        """Make masks of one object from points or a box; the encoder runs only if the image was never encoded before.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        points : (N, 2), optional
            (x, y) in image pixels: 0 <= x <= width, 0 <= y <= height. One point may be given without a list.
        point_labels : (N,), optional
            1: the point is on the object (foreground). 0: it is not (background). Default: all are on it.
        box : (x0, y0, x1, y1), optional
            Around the object, in image pixels, with x0 < x1 and y0 < y1.
        prompt : Prompt, optional
            In place of the three above.
        multimask : bool
            True: three candidate masks, since a click may mean a part or the whole. False: one mask.
        mask_input : (h, w) float32, optional
            One of the `Prediction.low_res_logits` of an earlier prompt for the same object in the same region.
        region : (x0, y0, x1, y1), optional
            Whole image pixels: encode this part of the image separately, so that small objects keep their detail;
            `samnb.encoding.regions.region_around` gives one on a grid, which later calls find again. Masks end at it.
            Default: the whole image.

        Returns
        -------
        Prediction
            Masks (N, H, W) of the image's size with a score for each, not saved yet: `accept` saves one.

        Raises
        ------
        PromptError
            An empty prompt, wrong shapes, `prompt` together with one of the three, a region that is not inside the
            image. A point, or a corner of the box, outside the region, or outside the image (`PointOutsideImage`).
        UnknownName
            No such image, or several.
        ImageError
            The file is damaged or too large, or its pixels changed since it was added; or it is gone, and the image was
            not encoded yet.
        ModelError
            The model failed.

        Examples
        --------
        >>> prediction = session.predict("coins_1.png", points=[(102, 106)])
        >>> prediction.masks.shape, prediction.score > 0.9
        ((3, 202, 243), True)
        >>> session.predict("coins_1.png", box=(80, 84, 126, 128), multimask=False).masks.shape
        (1, 202, 243)
        """
        record, given = self._library.read(image), one_prompt(prompt, points, point_labels, box)
        options: Any = {"multimask": multimask, "mask_input": mask_input, "region": region}
        return self._predictor.predict(record, given, **options)

    def accept(self, prediction: Prediction, *, category: str, index: int | None = None) -> Annotation:
        """Save one mask of a prediction as an annotation; it is in the catalog when this returns.

        Parameters
        ----------
        prediction : Prediction
            What `predict` returned.
        category : str
            Class name; a new one is added.
        index : int, optional
            Which mask, from 0. Default: the one with the highest score.

        Returns
        -------
        Annotation
            The saved one.

        Raises
        ------
        PromptError
            No such mask, an empty mask, an empty category, or a mask of another size than the image has now.
        UnknownName
            The image was deleted, or the prediction was made without a session.

        Examples
        --------
        >>> prediction = session.predict("coins_1.png", points=[(45, 104)])
        >>> annotation = session.accept(prediction, category="coin")
        >>> annotation.category, annotation.source, len(session.annotations())
        ('coin', 'hand', 2)
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
            By file name, "dataset/file name", id, path or hash.
        mask : (H, W) bool, or MaskPart
            Of the image's size. An array of 0 and 1, or of 0 and 255, is fine too.
        category : str
            Class name; a new one is added.
        prompt : Prompt, optional
            The prompt whose mask was edited.
        score : float
            The model's estimate for the mask that was edited, about 0 to 1; 1 for one drawn by hand.

        Returns
        -------
        Annotation
            The saved one.

        Raises
        ------
        PromptError
            A mask of another size or of probabilities, an empty mask, an empty category, a score below -0.5 or above
            1.5.
        UnknownName
            No such image, or several.
        ImageError
            The image was added with ``hash="later"``, and its file cannot be read.

        Examples
        --------
        >>> mask = np.zeros(session.image("coins_2.png").size_hw, bool)
        >>> mask[40:60, 30:80] = True
        >>> annotation = session.accept_mask("coins_2.png", mask, category="label")
        >>> annotation.area, annotation.bbox
        (1000, (30, 40, 50, 20))
        """
        return self._annotations.accept_mask(image, mask, category=category, prompt=prompt, score=score)

    def annotations(
        self, *, category: str | None = None, image: ImageRef | None = None, dataset: str | None = None
    ) -> Annotations:
        """Find annotations; each argument that is given narrows. Those that a review rejected are left out.

        Parameters
        ----------
        category : str, optional
            Default: all.
        image : str, path or ImageRecord, optional
            By file name, "dataset/file name", id, path or hash. Default: all.
        dataset : str, optional
            Default: all.

        Returns
        -------
        Annotations
            A list in the order they were made; `Annotations.to_dataframe` makes a table of it.

        Raises
        ------
        UnknownName
            No such category, image or dataset, or several such images.

        Examples
        --------
        >>> [(one.image, one.category) for one in session.annotations(dataset="monday")]
        [('coins_1.png', 'coin')]
        >>> session.annotations(image="coins_2.png")
        []
        """
        return self._annotations.find(category=category, image=image, dataset=dataset)

    def annotation_counts(self, dataset: str | None = None, *, review: str | None = None) -> dict[str, int]:
        """Count annotations by image. No masks are read for it.

        Parameters
        ----------
        dataset : str, optional
            Default: all.
        review : {"", "unsure", "accepted", "rejected"}, optional
            Only those of this review state; "" is of those that need no review. Default: all but rejected ones.

        Returns
        -------
        dict of str to int
            By image id; images without any are left out.

        Raises
        ------
        UnknownName
            No such dataset or review state.

        Examples
        --------
        >>> session.annotation_counts("monday") == {session.image("coins_1.png").id: 1}
        True
        >>> session.annotation_counts(review="unsure")
        {}
        """
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
        mask : (H, W) bool, or MaskPart, optional
            Of the image's size.
        category : str, optional
            Class name; a new one is added.
        layer : int, optional
            Higher ones are on top; of equal ones the later annotation is. A new annotation has 0.
        prompt : Prompt, optional
            The prompt that the mask was made with.
        score : float, optional
            The mask's quality, about 0 to 1.
        attributes : mapping of str to bool or str, optional
            All of them; those left out become False or "". See `add_attribute`.

        Returns
        -------
        Annotation
            The annotation as it is now; the one that was given still has its former values, for `restore`.

        Raises
        ------
        UnknownName
            It was deleted; an attribute, or a choice of it, that was not declared.
        PromptError
            A mask of another size, an empty mask, an empty category, a score below -0.5 or above 1.5, a flag that is
            neither True nor False.

        Examples
        --------
        >>> changed = session.update(coin, category="penny", layer=1)
        >>> changed.category, changed.layer, changed.id == coin.id, coin.category
        ('penny', 1, True, 'coin')
        """
        values: Any = {"mask": mask, "category": category, "layer": layer, "prompt": prompt, "score": score}
        return self._annotations.update(annotation, **values, attributes=attributes)

    def remove(self, annotation: Annotation | int) -> bool:
        """Delete an annotation.

        Parameters
        ----------
        annotation : Annotation or int
            Or its id.

        Returns
        -------
        bool
            False: it was deleted already.

        Examples
        --------
        >>> session.remove(coin), session.remove(coin)
        (True, False)
        """
        return self._annotations.remove(annotation)

    def restore(self, annotations: Iterable[Annotation], *, changed_from: Iterable[Annotation] = ()) -> None:
        """Restore annotations: a deleted one comes back under its old id, a changed one gets its old values.

        Parameters
        ----------
        annotations : iterable of Annotation
            As they are to be.
        changed_from : iterable of Annotation, optional
            The expected present state of each: only values in which the two differ are written, so that changes made
            elsewhere meanwhile stay. Default: all values are written.

        Raises
        ------
        UnknownName
            Their image was deleted.

        Examples
        --------
        >>> session.remove(coin)
        True
        >>> session.restore([coin])
        >>> [one.id == coin.id for one in session.annotations()]
        [True]
        """
        self._annotations.restore(annotations, changed_from=changed_from)

    def merge(self, annotations: Iterable[Annotation | int]) -> Annotation:
        """Make one annotation of two or more of one image: the first gets the pixels of all, the others are removed.

        Attributes that the first one does not have come from the others.

        Parameters
        ----------
        annotations : iterable of Annotation or int
            Or their ids.

        Returns
        -------
        Annotation
            The first one, with its new mask.

        Raises
        ------
        PromptError
            Fewer than two, or of several images. Nothing has changed then.
        UnknownName
            One was deleted. Nothing has changed then.

        Examples
        --------
        >>> other = session.accept(session.predict("coins_1.png", points=[(45, 104)]), category="coin")
        >>> merged = session.merge([coin, other])
        >>> merged.id == coin.id, merged.area == coin.area + other.area, len(session.annotations())
        (True, True, 1)
        """
        return self._annotations.merge(list(annotations))

    def split(self, annotation: Annotation | int) -> Annotations:
        """Make an annotation of each connected part of a mask. Parts that touch at a corner are one.

        Parameters
        ----------
        annotation : Annotation or int
            Or its id.

        Returns
        -------
        Annotations
            The largest part first: it keeps the id. The others count as made by hand.

        Raises
        ------
        PromptError
            Its mask is one piece.
        UnknownName
            It was deleted.

        Examples
        --------
        >>> mask = np.zeros_like(coin.mask)
        >>> mask[10:20, 10:30] = mask[40:50, 10:50] = True
        >>> [(part.area, part.id == coin.id) for part in session.split(session.update(coin, mask=mask))]
        [(400, True), (200, False)]
        """
        return self._annotations.split(annotation)

    def copy_annotations(self, annotations: Iterable[Annotation], image: ImageRef) -> Annotations:
        """Save the same objects on another image of the same size, as made by hand.

        Parameters
        ----------
        annotations : iterable of Annotation
            The objects; they stay where they are.
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.

        Returns
        -------
        Annotations
            The new ones.

        Raises
        ------
        PromptError
            The image has another size. Nothing is copied then.
        UnknownName
            No such image, or several.
        ImageError
            The image was added with ``hash="later"``, and its file cannot be read.

        Examples
        --------
        >>> darker = session.pixels("coins_1.png") // 2
        >>> [image] = session.add(darker, dataset="darker", show=False).images
        >>> [copy] = session.copy_annotations([coin], image)
        >>> copy.dataset, copy.area == coin.area
        ('darker', True)
        """
        return self._annotations.copy(annotations, self._library.read(image))

    def annotate(self, image: ImageRef | None = None, *, dataset: str | None = None) -> Annotator:
        """Make the annotator, in which a person makes masks by clicks; for the last line of a notebook cell.

        Parameters
        ----------
        image : str, path or ImageRecord, optional
            What it opens first. By file name, "dataset/file name", id, path or hash. Default: the image that was opened
            last, else the first one.
        dataset : str, optional
            The images that it goes through. Default: the dataset of `image`; all images if there is no `image`.

        Returns
        -------
        Annotator
            The widget.

        Raises
        ------
        UnknownName
            No such image or dataset, or several such images.

        Examples
        --------
        >>> annotator = session.annotate("coins_1.png")
        >>> annotator
        <Annotator session · monday: coins_1.png, 1 annotation>
        >>> annotator.close()
        """
        return widget("Annotator", self, image=image, dataset=dataset)
