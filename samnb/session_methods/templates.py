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
            Without "@". A name that is taken gets the next version, if the content is another one.
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

        Returns
        -------
        Template
            As it is saved, with its version.

        Raises
        ------
        UnknownName
            A category without annotations by hand, an unknown strategy, or no such model or image.
        UnknownOption
            An unknown parameter.
        ModelError
            A phrase or examples, and the session's model knows no words; the message names models that do.
        CheckpointError
            The weights of the model of `features` are not here.
        TemplateError
            A name that is empty or has an "@", a value out of its range, an empty phrase, no examples in `examples`,
            options that do not go together.
        PromptError
            A point that is none, or lies outside its image; a box that does.
        ImageError
            An image with examples or background is not encoded, and its file is gone, cannot be read or has other
            pixels now.

        Examples
        --------
        >>> session.template("coins", max_objects=10)
        <Template coins v1: match_all, examples: 1 coin>
        >>> session.template("coins", background={"coins_1.png": [(5, 5)]}).version
        2
        """
        if phrase is not None or examples is not None:
            check_goes_with_phrase(strategy=strategy, background=background, features=features)
            own: Any = {"categories": categories, "parameters": parameters}
            return self._templates.save(self._templates.of_phrase(name, phrase, examples, **own))
        options: Any = {"categories": categories, "strategy": strategy or "match_all", "background": background}
        options["features"] = features
        return self._templates.make(name, self.catalog.annotations(source=BY_HAND), **options, parameters=parameters)

    def use_features(self, model: str, *, checkpoint: str | Path | None = None) -> str:
        """Open another model for the features of templates, with weights of your own.

        Models whose weights are found by their name are opened when a template needs them.

        Parameters
        ----------
        model : str
            Registry name, as templates call it from now on.
        checkpoint : path, optional
            Its weight file. None: the one that is found by the name.

        Returns
        -------
        str
            The model's fingerprint.

        Raises
        ------
        UnknownName
            No such model.
        CheckpointError
            Its weights are missing, damaged or of another model.
        PackageMissing
            It needs a package that is not installed.

        Examples
        --------
        >>> session.use_features("tiny") == session.model.fingerprint
        True
        """
        return self._others.open(model, checkpoint=checkpoint).fingerprint

    def template_features(self, image: ImageRef, template: Template) -> ImageFeatures:
        """What a template compares on an image; what is missing is encoded.

        Parameters
        ----------
        image : str, path or ImageRecord
            By file name, "dataset/file name", id, path or hash.
        template : Template
            Says whose features: those of the session's model, or of another one.

        Returns
        -------
        ImageFeatures
            Its "embedding" is that of the session's model; "compared" that of the other one, None without.

        Raises
        ------
        UnknownName
            No such image, or no such model.
        TemplateMismatch
            The model whose features it compares has other weights here.
        CheckpointError
            That model's weights are not here.
        ImageError
            The image is not encoded, and its file is gone, cannot be read or has other pixels now.

        Examples
        --------
        >>> template = session.template("coins")
        >>> session.template_features("coins_1.png", template).embedding.original_size
        (202, 243)
        """
        return self._templates.features.read(self._library.read(image), template).features

    def find_template(self, template: Template | str) -> Template:
        """A saved template by its name, in its latest version; one that is passed and not saved yet is saved.

        Parameters
        ----------
        template : Template or str

        Returns
        -------
        Template

        Raises
        ------
        UnknownName
            None of that name.
        TemplateMismatch
            Made with another model.
        CheckpointError
            It compares the features of another model, whose weights are not here.
        TemplateError
            One that is passed has a name that is empty or has an "@".

        Examples
        --------
        >>> template = session.template("coins")
        >>> session.find_template("coins").version
        1
        >>> session.find_template(template.with_parameters(min_score=0.4)).version
        2
        """
        return self._templates.resolve_saved(template)

    def save_template(self, template: Template) -> Template:
        """Save a template: the same content keeps its version, other content gets the next one.

        Parameters
        ----------
        template : Template
            Such as one of a file, which `samnb.templates.Template.load` reads.

        Returns
        -------
        Template
            With its version.

        Raises
        ------
        TemplateError
            A name that is empty or has an "@".

        Examples
        --------
        >>> template = session.template("coins")
        >>> session.save_template(template).version, session.save_template(template.with_parameters(refine=0)).version
        (1, 2)
        """
        return self._templates.save(template)

    def tune(self, template: Template | str, images: Iterable[ImageRef] | None = None) -> Tuner:
        """A widget with a template's parameters, and the objects they find on 12 images, live.

        For the last line of a notebook cell. Nothing is written until "Save", which makes a new version.

        Parameters
        ----------
        template : Template or str
            A saved one by its name. One that is passed and not saved yet is saved.
        images : iterable, optional
            The first 12 of these; None: 12 of all, a third of those annotated by hand.

        Returns
        -------
        Tuner

        Raises
        ------
        UnknownName
            No such template or image.
        TemplateMismatch, CheckpointError, TemplateError
            As in `find_template`.

        Examples
        --------
        >>> session.template("coins")
        <Template coins v1: match_all, examples: 1 coin>
        >>> tuner = session.tune("coins", images=["coins_1.png"])
        >>> tuner
        <Tuner session: coins v1, 1 image>
        >>> tuner.close()
        """
        return widget("Tuner", self, template, images=images)

    def annotated_by_hand(self, template: Template) -> list[LabelledImage]:
        """The images with annotations by hand of a template's categories, and their masks.

        Parameters
        ----------
        template : Template

        Returns
        -------
        list of LabelledImage
            [] if there are none.

        Examples
        --------
        >>> [labelled] = session.annotated_by_hand(session.template("coins"))
        >>> labelled.image.filename, len(labelled.wanted["coin"])
        ('coins_1.png', 1)
        """
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
            A saved one by its name. One that is passed and not saved yet is saved.
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

        Returns
        -------
        Job
            Its last event has the numbers of "computed", "skipped" and "failed" images, of "masks", and of those that
            are "unsure": they wait for a review.

        Raises
        ------
        UnknownName
            No such template, dataset or image.
        UnknownOption
            Both `dataset` and `images`; when the job is awaited: `on` is none of these.
        TemplateMismatch, CheckpointError, TemplateError
            As in `find_template`.
        WorkersLost, PackageMissing
            When the job is awaited: the workers do not answer, or the package "distributed" is not installed.

        Examples
        --------
        >>> template = session.template("coins", max_objects=3)
        >>> done = session.apply(template, images=["coins_1.png"], show=False).wait()
        >>> done.details["computed"], done.details["masks"] > 1
        (1, True)
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
        """The same as `apply`, in this thread: an iterator of its events.

        Parameters
        ----------
        template, dataset, images, on, only_open
            As in `apply`.

        Yields
        ------
        Event
            One for each image, with the number of its "masks"; one that cannot be searched has the status "failed". The
            last one has the status "done".

        Raises
        ------
        UnknownName, UnknownOption, TemplateMismatch, CheckpointError, TemplateError, WorkersLost, PackageMissing
            As in `apply`; those of `on` when the first event is asked for.

        Examples
        --------
        >>> template = session.template("coins", max_objects=3)
        >>> [event.status for event in session.apply_stream(template, images=["coins_1.png"])]
        ['computed', 'done']
        >>> [event.status for event in session.apply_stream(template, images=["coins_1.png"])]
        ['skipped', 'done']
        """
        return self._templates.apply_stream(template, dataset, images, on, only_open=only_open)

    def undo_apply(
        self, template: Template | str, dataset: str | None = None, *, images: Iterable[ImageRef] | None = None
    ) -> int:
        """Remove the annotations of all versions of a template.

        Annotations that a review accepted or rejected stay, and so do those made by hand.

        Parameters
        ----------
        template : Template or str
            Or its name.
        dataset : str, optional
            None: all images.
        images : iterable, optional
            Only these.

        Returns
        -------
        int
            Their number.

        Raises
        ------
        UnknownName
            No saved template of that name, no such dataset or image.
        UnknownOption
            Both `dataset` and `images`.

        Examples
        --------
        >>> template = session.template("coins", max_objects=3)
        >>> done = session.apply(template, images=["coins_1.png"], show=False).wait()
        >>> session.undo_apply("coins") == done.details["masks"]
        True
        """
        return self._templates.undo_apply(template, dataset, images)
