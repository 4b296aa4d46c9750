"""Evaluates a model on pictures with known masks, by simulated clicks.

For each case the first click goes to the middle of the object, every further one into the middle of the largest
error (`samnb.masks.clicks`). Nothing is random, so two models get comparable metrics from the same cases.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cards import count_text
from ..errors import NothingToMeasure, PromptError, SamnbError
from ..masks import mask_area, mask_iou
from ..masks.clicks import first_click, next_click
from ..models import Model, check_draws
from ..prompts import Embedding, Point, Prompt
from ..records import AnnotationRecord, Failure
from .baselines import make_baseline
from .cases import Case, annotated_cases, check_seed
from .metrics import CaseResult
from .report import ModelReport

Embed = Callable[[Case], tuple[Embedding, bool]]
Elsewhere = Callable[[Sequence[AnnotationRecord], "Sequence[ClickSimulation]"], None]
First = Callable[[NDArray[np.bool_]], Point]

_ALWAYS = 5
"""The minimum number of clicks, for `iou_5`; further ones only until an IoU of 0.90 was reached."""


def evaluate(
    model: Model,
    cases: Iterable[Case | Failure],
    *,
    baselines: Sequence[Model] = (),
    max_clicks: int = 20,
    baseline_clicks: int | None = None,
    multimask: bool = True,
    embed: Embed | None = None,
    first: First = first_click,
    seed: int = 0,
    on_case: Callable[[Case], object] | None = None,
) -> ModelReport:
    """Simulate the clicks of every case and compute the metrics.

    The first click decodes three candidates and shows the one of highest score, as the annotator does. A further
    click decodes all clicks so far and, as `mask_input`, the low-resolution logits of the mask shown before:
    segment-anything was trained this way, and without them a model loses correct parts.

    Parameters
    ----------
    model : Model
        Any object with `encode` and `decode` of `samnb.models.Model`.
    cases : iterable of Case
        Read once; a `Failure` among them is passed on to the report. Cases of one picture should be adjacent
        and share its array: then it is encoded once.
    baselines : sequence of Model
        Methods that get the same clicks; see `samnb.evaluation.baselines`. Their reports are the report's `baselines`.
    max_clicks : int
        The cap for a case that never reaches an IoU of 0.90.
    baseline_clicks : int, optional
        Another cap for the baselines, to save time; None: the same.
    multimask : bool
        True: refining clicks too choose among three candidates by score. False: they take the single mask, which
        segment-anything recommends once there is more than one click.
    embed : callable, optional
        Returns a case's embedding, and True if it was cached; None: `model.encode`.
    first : callable
        Returns the place of the first click for a case's mask; by default the middle. Called once per case.
    seed : int
        Of the bootstrap intervals.
    on_case : callable, optional
        Called after each case.

    Returns
    -------
    ModelReport

    Raises
    ------
    PromptError
        `max_clicks` below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from samnb.evaluation.baselines import make_baseline
    >>> pixels, mask = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), bool)
    >>> mask[10:30, 20:50], pixels[10:30, 20:50] = True, 200
    >>> report = evaluate(make_baseline("flood_fill"), [Case("square.png", pixels, mask)])
    >>> report.overall.iou_1 > 0.9, report.overall.noc_90
    (True, 1.0)
    """
    check_seed(seed)  # not after hours of clicks
    simulations = simulate(
        model,
        cases,
        baselines=baselines,
        max_clicks=max_clicks,
        baseline_clicks=baseline_clicks,
        multimask=multimask,
        embed=embed,
        first=first,
        on_case=on_case,
    )
    return reported(simulations, seed)


def simulate(
    model: Model,
    cases: Iterable[Case | Failure],
    *,
    baselines: Sequence[Model] = (),
    max_clicks: int = 20,
    baseline_clicks: int | None = None,
    multimask: bool = True,
    embed: Embed | None = None,
    first: First = first_click,
    on_case: Callable[[Case], object] | None = None,
) -> list[ClickSimulation]:
    """The clicks of `evaluate`, of the model and then of each baseline, without the report."""
    check_draws(model)
    _check_clicks(max_clicks if baseline_clicks is None else min(max_clicks, baseline_clicks))
    simulations = [ClickSimulation(model, max_clicks, multimask, embed)]
    simulations += [ClickSimulation(other, baseline_clicks or max_clicks, multimask, None) for other in baselines]
    for case in cases:
        if isinstance(case, Failure):
            simulations[0].failed.append(case)
            continue
        click = first(case.mask)
        for simulation in simulations:
            simulation.run(case, click)
        if on_case is not None:
            on_case(case)
    return simulations


def reported(simulations: Sequence[ClickSimulation], seed: int) -> ModelReport:
    """The report of what `simulate` returned."""
    report, *others = (simulation.report(seed) for simulation in simulations)
    return report.with_baselines(others)


def evaluate_annotations(
    annotations: Sequence[AnnotationRecord],
    model: Model,
    *,
    name: str,
    pixels: Callable[[str], NDArray[np.uint8]],
    embedding: Callable[[str], tuple[Embedding, bool]],
    max_clicks: int = 20,
    baselines: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    on_case: Callable[[Case], object] | None = None,
    elsewhere: Elsewhere | None = None,
) -> ModelReport:
    """Evaluate a model on annotations, with simulated clicks.

    A hundred objects take a minute or two with "tiny".

    Parameters
    ----------
    annotations : sequence of AnnotationRecord
        Their masks are the ground truth. Their groups are their categories.
    model : Model
    name : str
        The place of the annotations, for messages.
    pixels : callable
        (H, W, 3) uint8 RGB of an image, by its id.
    embedding : callable
        An image's embedding by its id, and True when it was cached.
    max_clicks : int
        The cap for an object that never reaches the IoU; see `evaluate`.
    baselines : sequence of str
        Other methods under the same clicks, keys of `samnb.evaluation.baselines.BASELINES`.
    limit : int, optional
        The maximum number of objects, drawn with `seed`.
    seed : int
        Also of the intervals.
    on_case : callable, optional
        Called after each case.
    elsewhere : callable, optional
        Simulates the clicks on the cases of these annotations, for this process: on workers.

    Raises
    ------
    NothingToMeasure
        No annotation.
    UnknownName
        No such baseline.
    """
    others = [make_baseline(name) for name in baselines]
    if not annotations:
        raise NothingToMeasure(name)
    cases = annotated_cases(annotations, pixels).sampled(limit, seed=seed)
    if elsewhere is not None:
        check_draws(model)
        _check_clicks(max_clicks)
        simulations = [ClickSimulation(one, max_clicks, True, None) for one in (model, *others)]
        elsewhere([source.annotation for source in cases.sources if source.annotation is not None], simulations)
        report = reported(simulations, seed)
    else:
        report = evaluate(
            model,
            cases,
            baselines=others,
            max_clicks=max_clicks,
            embed=lambda case: embedding(case.id),
            seed=seed,
            on_case=on_case,
        )
    own = sum(annotation.model == model.fingerprint for annotation in annotations)
    if not own:
        return report
    return report.with_notes(
        f"{own} of {count_text(len(annotations), 'mask')} began as answers of this very model, which flatters it. For "
        "a fair figure correct them with the brush, or measure on masks made without it."
    )


@dataclass(eq=False)
class ClickSimulation:
    """The evaluation of one model over all cases: what was found, and how long it took."""

    model: Model
    max_clicks: int
    multimask: bool
    embed: Embed | None
    results: list[CaseResult] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    encode_ms: list[float] = field(default_factory=list)
    decode_ms: list[float] = field(default_factory=list)
    _encoded: tuple[Any, Embedding | None] = (None, None)

    def run(self, case: Case, click: Point) -> None:
        """Simulate all clicks of one case; a case the model fails on is noted and left out."""
        try:
            embedding = self._embedding(case)
            if embedding is not None:
                self.results.append(self._clicks(case, embedding, click))
        except SamnbError as error:
            self.failed.append(Failure(case.image, f"{self.model.name}: {error}"))

    def take(self, other: ClickSimulation) -> None:
        """Add what another simulation of the same model found."""
        for name in ("results", "failed", "encode_ms", "decode_ms"):
            getattr(self, name).extend(getattr(other, name))

    def report(self, seed: int) -> ModelReport:
        """The report over all cases."""
        return ModelReport.of(
            self.results,
            model=self.model.name,
            fingerprint=self.model.fingerprint,
            device=self.model.device,
            max_clicks=self.max_clicks,
            multimask=self.multimask,
            seed=seed,
            encode_ms=_median(self.encode_ms),
            decode_ms=_median(self.decode_ms),
            failed=tuple(self.failed),
        )

    def _embedding(self, case: Case) -> Embedding | None:
        """Encode, unless it is the picture of the previous case; None if that failed already."""
        if self._encoded[0] is not case.pixels:
            self._encoded = (case.pixels, None)
            started = time.perf_counter()
            embedding, cached = self.embed(case) if self.embed else (self.model.encode(case.pixels), False)
            if not cached:
                self.encode_ms.append((time.perf_counter() - started) * 1000)
            self._encoded = (case.pixels, embedding)
        return self._encoded[1]

    def _clicks(self, case: Case, embedding: Embedding, start: Point) -> CaseResult:
        prompt = Prompt.of(points=[start])
        first = shown = self._decode(embedding, prompt, True, None)
        ious = [mask_iou(shown.mask, case.mask)]
        while len(ious) < self.max_clicks and (len(ious) < _ALWAYS or max(ious) < 0.90):
            click = next_click(case.mask, shown.mask, prompt.points)
            if click is None:
                break
            (x, y), label = click
            prompt = prompt.with_point(x, y, label=label)
            shown = self._decode(embedding, prompt, self.multimask, shown.low_res_logits[shown.best])
            ious.append(mask_iou(shown.mask, case.mask))
        return CaseResult(
            image=case.image,
            category=case.category,
            group=case.group,
            area=mask_area(case.mask),
            ious=tuple(ious),
            candidate_ious=tuple(mask_iou(mask, case.mask) for mask in first.masks),
            candidate_scores=tuple(float(score) for score in first.scores),
            max_clicks=self.max_clicks,
        )

    def _decode(self, embedding: Embedding, prompt: Prompt, multimask: bool, mask_input: Any) -> Any:
        started = time.perf_counter()
        prediction = self.model.decode(embedding, prompt, multimask=multimask, mask_input=mask_input)
        self.decode_ms.append((time.perf_counter() - started) * 1000)
        return prediction


def _check_clicks(clicks: int) -> None:
    if clicks < 1:
        raise PromptError(f"max_clicks: expected at least 1; got {clicks}.")


def _median(times: list[float]) -> float | None:
    """The first call builds the network, so it counts only if it is the only one."""
    return float(np.median(times[1:] or times)) if times else None
