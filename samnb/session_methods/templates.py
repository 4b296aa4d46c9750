"""The methods of `samnb.session.Session` about templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..jobs import Event, Job
from ..records import BY_HAND, ImageRef
from ..templates import Template
from ..templates.evaluation import LabelledImage
from ..templates.image_features import ImageFeatures
from ..templates.phrase_examples import ExampleBoxes, check_goes_with_phrase
from .parts import SessionParts, shown, widget

if TYPE_CHECKING:
    from ..widgets import Tuner


class TemplateMethods(SessionParts):
    """Templates: made on a few images, and applied to many."""

    def template(
        self,
        name: str,
        *,
        categories: Sequence[str] | None = None,
        strategy: str | None = None,
        background: Mapping[ImageRef, Sequence[Sequence[float]]] | None = None,
        features: str | None = None,
        phrase: str | Mapping[str, str] | None = None,
        examples: ExampleBoxes | None = None,
        **parameters: float,
    ) -> Template:
        """A template made from the annotations by hand, or by a phrase, saved under its name.

        Parameters
        ----------
        name : str
        categories : sequence of str, optional
            None: all that have annotations by hand. With one phrase: the name of its category; None: the phrase.
        strategy : {"match_all", "match", "fixed", "phrase"}, optional
            Every instance, the best one, the same relative prompt on every image, or all that a phrase or `examples`
            name. None: "phrase" with one of these two, else "match_all".
        background : mapping of image to (N, 2), optional
            (x, y) in image pixels, on things that are mistaken for the object: places more similar to them than to the
            examples are left out.
        features : str, optional
            The name of another model: its features are compared, and the session's model draws the masks. Such an image
            has two embeddings, each computed once. None or "": the session's model.
        phrase : str or mapping of category to str, optional
            A short noun phrase, such as "yellow taxi", for a model that knows words.
        examples : mapping of image to boxes, or annotations, optional
            (x0, y0, x1, y1) in image pixels, or `samnb.models.Exemplar` for negative ones too, on any images. They are
            searched with the phrase, or alone. Of annotations the bounding boxes count.
        **parameters
            See `samnb.templates.DEFAULT_PARAMETERS`.

        Raises
        ------
        UnknownName
            A category without annotations by hand, an unknown strategy, or no such model.
        UnknownOption
            An unknown parameter.
        ModelError
            A phrase or examples, and the session's model knows no words; the message names models that do.
        TemplateError
            Options that do not go together.
        """
        if phrase is not None or examples is not None:
            check_goes_with_phrase(strategy=strategy, background=background, features=features)
            own: Any = {"categories": categories, "parameters": parameters}
            return self._templates.save(self._templates.of_phrase(name, phrase, examples, **own))
        options: Any = {"categories": categories, "strategy": strategy or "match_all", "background": background}
        options["features"] = features
        return self._templates.make(name, self.catalog.annotations(source=BY_HAND), **options, parameters=parameters)

    def use_features(self, model: str, *, checkpoint: str | Path | None = None) -> str:
        """Open another model for the features of templates, with weights of your own; returns its fingerprint.

        Models whose weights are found by their name are opened when a template needs them.

        Parameters
        ----------
        model : str
            Registry name, as templates call it from now on.
        checkpoint : path, optional

        Raises
        ------
        UnknownName
            No such model.
        CheckpointError
            Its weights are missing, damaged or of another model.
        """
        return self._others.open(model, checkpoint=checkpoint).fingerprint

    def template_features(self, image: ImageRef, template: Template) -> ImageFeatures:
        """What a template compares on an image; encodes what is missing. Raises `TemplateMismatch`."""
        return self._templates.features.read(self._library.read(image), template).features

    def find_template(self, template: Template | str) -> Template:
        """A saved template by its name, in its latest version; one that is passed and not saved yet is saved.

        Raises
        ------
        UnknownName
            None of that name.
        TemplateMismatch
            Made with another model.
        """
        return self._templates.resolve_saved(template)

    def save_template(self, template: Template) -> Template:
        """Save a template: the same content keeps its version, other content gets the next one."""
        return self._templates.save(template)

    def tune(self, template: Template | str, images: Iterable[ImageRef] | None = None) -> Tuner:
        """A widget with a template's parameters, and the objects they find on 12 images, live.

        For the last line of a notebook cell. Nothing is written until "Save", which makes a new version.

        Parameters
        ----------
        template : Template or str
        images : iterable, optional
            The first 12 of these; None: 12 of all, a third of those annotated by hand.
        """
        return widget("Tuner", self, template, images=images)

    def annotated_by_hand(self, template: Template) -> list[LabelledImage]:
        """The images with annotations by hand of a template's categories, and their masks; [] if there are none."""
        return self._templates.labelled_images(template)

    def apply(
        self,
        template: Template | str,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        on: Any = None,
        only_open: bool = True,
        show: bool = True,
    ) -> Job:
        """Find a template's objects on images, in the background; `await` it, or `.wait()`.

        Images that were searched with this version of the template are skipped, so the same call resumes a run that
        was stopped. Annotations by hand never change.

        Parameters
        ----------
        template : Template or str
            A saved one by its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these, in this order.
        on : Client, str or Executor, optional
            Workers, as for `prewarm`; events then come in order of completion.
        only_open : bool
            Leave out images that a person called done, empty or skip; "left_out" in the last event is their number.
        show : bool
            Show a progress widget (a tqdm bar outside a notebook).
        """
        return shown(self._templates.apply(template, dataset, images, on, only_open=only_open), show)

    def apply_stream(
        self,
        template: Template | str,
        dataset: str | None = None,
        *,
        images: Iterable[ImageRef] | None = None,
        on: Any = None,
        only_open: bool = True,
    ) -> Iterator[Event]:
        """The same as `apply`, in this thread: an iterator of its events."""
        return self._templates.apply_stream(template, dataset, images, on, only_open=only_open)

    def undo_apply(
        self, template: Template | str, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None
    ) -> int:
        """Remove the annotations of all versions of a template; returns their number.

        Annotations that a review accepted or rejected stay, and so do those made by hand.

        Parameters
        ----------
        template : Template or str
            Or its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these.
        """
        return self._templates.undo_apply(template, dataset, images)
