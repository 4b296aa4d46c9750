"""`samnb bench`: the speed of a model on this machine, compared with segment-anything's own predictor.

Both have the same weights and take turns within one run, so that other load affects both. Medians and their ratio
are reported. The
reference is ``segment_anything.SamPredictor`` on official modules. Beside it stand ``transformers``' ``SamModel`` where
that is installed, the limit, which is what the encoder's arithmetic takes as bare matrix products, and what this
machine reaches in products, memory and JPEG.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import UnknownName
from .prompts import Prompt

if TYPE_CHECKING:
    from .models.sam.model import SamConfig, SamModel

__all__ = ["BenchReport", "Comparison", "bench"]

SIZE_HW = (768, 1024)
LARGE_HW = (1536, 2048)
"""About three megapixels."""
PICTURES = 4
PROMPTS = 32


@dataclass(frozen=True)
class Comparison:
    """One piece of work, done both ways in turns.

    Parameters
    ----------
    name : str
    samnb_ms, reference_ms : float
        Medians, of one picture or of the whole piece, as the name says.
    ratio : float
        Median over the rounds of reference / samnb: how many times faster.
    agreement : str
        How far the answers are those of the reference.
    """

    name: str
    samnb_ms: float
    reference_ms: float
    ratio: float
    agreement: str = ""


@dataclass(frozen=True)
class BenchReport:
    """The result of `bench`.

    Parameters
    ----------
    model, weights : str
        The model, and "random" or the weights' hash.
    machine : mapping
        Processor, threads, versions.
    comparisons : tuple of Comparison
    notes : tuple of str
        Additional measurements, and those that were not possible.
    """

    model: str
    weights: str
    machine: Mapping[str, str]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"machine": dict(self.machine)}

    def __repr__(self) -> str:
        lines = [f"{self.model}, weights: {self.weights}", ", ".join(f"{k} {v}" for k, v in self.machine.items()), ""]
        lines.append(f"{'':<46}{'samnb':>12}{'SamPredictor':>14}{'ratio':>8}")
        for one in self.comparisons:
            times = f"{one.samnb_ms:>9,.1f} ms{one.reference_ms:>11,.1f} ms{one.ratio:>7.2f}×"
            lines.append(f"{one.name:<46}{times}  {one.agreement}".rstrip())
        return "\n".join([*lines, "", *self.notes])


def bench(
    model: str = "mobile_sam",
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    rounds: int = 3,
    pictures: int = PICTURES,
    on_step: Callable[[str], object] = lambda name: None,
) -> BenchReport:
    """Measure a model of the segment-anything family beside the reference, on this machine.

    Parameters
    ----------
    model : str
        "vit_b", "vit_l", "vit_h", "mobile_sam"; "tiny" with a file of its earlier net.
    checkpoint : path, optional
        Its weights; ``"random"``: made here, the work is the same. None: those installed, else random ones.
    rounds : int
        Turns of each side; the first one more, to warm up, is not counted.
    pictures : int
        How many are clicked on and prewarmed.
    on_step : callable
        Called with the name of the next measurement.

    Raises
    ------
    UnknownName
        Not a model that `segment_anything` can run.
    CheckpointMissing
        Its weights are not on this machine.
    """
    from .models import load_model
    from .models.machine_rates import machine_rates
    from .models.registry import REGISTRY, installed
    from .models.sam.model import SamModel

    if checkpoint is None and model in _plans() and installed(REGISTRY[model].info) is None:
        checkpoint = "random"
    with _weights(model, checkpoint) as path:
        one = load_model(model, checkpoint=path, device="cpu")
        if not isinstance(one, SamModel):
            raise UnknownName("model with a SamPredictor to compare with", model, _plans())
        predictor = _reference(one)
        drawn = _pictures(pictures)
        comparisons = []
        for name, measure in _MEASURES.items():
            on_step(name)
            comparisons.append(measure(name, one, predictor, drawn, rounds))
        on_step("the limit")
        notes = [
            *_limit(one, predictor, drawn[0], comparisons[0]),
            *machine_rates(),
            *_transformers(one, drawn[0], rounds),
        ]
        notes.append(_micro_sam())
        random = str(checkpoint) == "random"
        weights = "random (the work is that of trained ones; says nothing of quality)" if random else one.weights.sha256
    return BenchReport(model, weights, _machine(), tuple(comparisons), tuple(notes))


# -- both sides ----------------------------------------------------------------------------------------


def _plans() -> dict[str, Callable[[], SamConfig]]:
    """How the models that have a reference are built, by name."""
    from .models.sam import mobile_sam, variants

    plans = {info.name: partial(variants.sam_config, info.name) for info in variants.MODELS}
    return plans | {"mobile_sam": mobile_sam.sam_config}


@contextmanager
def _weights(model: str, checkpoint: str | os.PathLike[str] | None) -> Iterator[str | os.PathLike[str] | None]:
    """The checkpoint; for "random" one that is made here and gone afterwards."""
    if str(checkpoint) != "random":
        yield checkpoint
        return
    import torch

    plans = _plans()
    if model not in plans:
        raise UnknownName("model that can be made with random weights", model, plans)
    plan = plans[model]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        state: dict[str, Any] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for part in ("image_encoder", "prompt_encoder", "mask_decoder"):
                state |= {f"{part}.{name}": value for name, value in getattr(plan, part)().state_dict().items()}
        torch.save(state, path)
        yield path


def _reference(model: SamModel) -> Any:
    """A ``SamPredictor`` on the model's weights, with the official modules."""
    from .models.sam.reference import import_segment_anything

    official = import_segment_anything()
    plan, state = model.config, dict(model.weights.read())
    parts = [plan.image_encoder(), plan.prompt_encoder(), plan.mask_decoder()]
    parts[0].img_size = plan.image_size  # `SamPredictor` asks it; MobileSAM's encoder does not know it
    sam = official.modeling.Sam(*parts, list(plan.pixel_mean), list(plan.pixel_std))
    sam.load_state_dict({name: value.float() for name, value in state.items()}, strict=False)
    return official.SamPredictor(sam.eval().requires_grad_(False))


def _pictures(count: int, size_hw: tuple[int, int] = SIZE_HW) -> list[NDArray[np.uint8]]:
    """Discs on a gradient, each picture another."""
    height, width = size_hw
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pictures = []
    for number in range(count):
        chance = np.random.default_rng(number)
        pixels = np.stack([x / width, y / height, (x + y) / (width + height)], -1) * 160
        for _ in range(12):
            centre, radius = chance.random(2) * (width, height), chance.uniform(0.04, 0.12) * width
            pixels[np.hypot(x - centre[0], y - centre[1]) < radius] = chance.integers(40, 255, 3)
        pictures.append((pixels + chance.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8))
    return pictures


def _clicks(count: int, size_hw: tuple[int, int]) -> list[Prompt]:
    chance = np.random.default_rng(7)
    places = chance.random((count, 2)) * (size_hw[1] - 1, size_hw[0] - 1)
    return [Prompt.of(points=[place]) for place in places]


def _official_mask(predictor: Any, prompt: Prompt) -> NDArray[np.bool_]:
    masks, scores, _ = predictor.predict(np.array(prompt.points), np.array(prompt.point_labels), multimask_output=True)
    return np.asarray(masks[int(scores.argmax())])


def _in_turns(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int, each: int = 1) -> Comparison:
    times: dict[Any, list[float]] = {ours: [], theirs: []}
    for turn in range(rounds + 1):
        for work in (theirs, ours):
            start = time.perf_counter()
            work()
            if turn:
                times[work].append((time.perf_counter() - start) * 1000 / each)
    ratio = median(t / o for o, t in zip(times[ours], times[theirs], strict=True))
    return Comparison(name, median(times[ours]), median(times[theirs]), ratio)


def _with_agreement(comparison: Comparison, agreement: str) -> Comparison:
    return Comparison(**(asdict(comparison) | {"agreement": agreement}))


def _alike(ours: Sequence[NDArray[np.bool_]], theirs: Sequence[NDArray[np.bool_]]) -> str:
    from .masks import mask_iou

    ious = [mask_iou(a, b) if a.any() or b.any() else 1.0 for a, b in zip(ours, theirs, strict=True)]
    return f"mask IoU ≥ {np.floor(min(ious) * 1e4) / 1e4:.4f}"


# -- what is measured ----------------------------------------------------------------------------------


def _encode(name: str, model: SamModel, predictor: Any, pictures: list[Any], rounds: int) -> Comparison:
    kept: dict[str, Any] = {}
    comparison = _in_turns(
        name,
        lambda: kept.update(ours=model.encode(pictures[0]).tensors["image_embedding"]),
        lambda: predictor.set_image(pictures[0]),
        rounds,
    )
    difference = float(np.abs(predictor.get_image_embedding()[0].numpy() - kept["ours"]).max())
    return _with_agreement(comparison, f"largest difference {difference:.1e}")


def _click(name: str, model: SamModel, predictor: Any, pictures: list[Any], rounds: int) -> Comparison:
    large = _pictures(1, LARGE_HW)[0]
    predictor.set_image(large)
    embedding, clicks = model.encode(large), _clicks(4, LARGE_HW)
    comparison = _in_turns(
        name,
        lambda: [model.decode(embedding, click).mask for click in clicks],
        lambda: [_official_mask(predictor, click) for click in clicks],
        rounds,
        each=len(clicks),
    )
    ours = [model.decode(embedding, click).mask for click in clicks]
    return _with_agreement(comparison, _alike(ours, [_official_mask(predictor, click) for click in clicks]))


def _many(name: str, model: SamModel, predictor: Any, pictures: list[Any], rounds: int) -> Comparison:
    predictor.set_image(pictures[0])
    embedding, clicks = model.encode(pictures[0]), _clicks(PROMPTS, SIZE_HW)

    def ours() -> list[NDArray[np.bool_]]:
        return [answer.mask for answer in model.decode_many([(embedding, click) for click in clicks])]

    def theirs() -> list[NDArray[np.bool_]]:
        return [_official_mask(predictor, click) for click in clicks]

    return _with_agreement(_in_turns(name, ours, theirs, rounds), _alike(ours(), theirs()))


def _each(name: str, model: SamModel, predictor: Any, pictures: list[Any], rounds: int) -> Comparison:
    """One click on each of many pictures whose embeddings are there: what applying to a data set does."""
    import torch

    pairs = list(zip([model.encode(one) for one in pictures], _clicks(len(pictures), SIZE_HW), strict=True))
    predictor.set_image(pictures[0])  # sizes are the same for all

    def theirs() -> list[NDArray[np.bool_]]:
        masks = []
        for embedding, click in pairs:
            predictor.features = torch.tensor(embedding.tensors["image_embedding"])[None]
            masks.append(_official_mask(predictor, click))
        return masks

    def ours() -> list[NDArray[np.bool_]]:
        return [answer.mask for answer in model.decode_many(pairs)]

    return _with_agreement(_in_turns(name, ours, theirs, rounds), _alike(ours(), theirs()))


def _prewarm(name: str, model: SamModel, predictor: Any, pictures: list[Any], rounds: int) -> Comparison:
    """Measure a prewarm, from files on the disk to embeddings on the disk."""
    from PIL import Image

    from .session import Session

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = [folder / f"{number}.png" for number in range(len(pictures))]
        for file, pixels in zip(files, pictures, strict=True):
            Image.fromarray(pixels).save(file)
        turn = iter(range(rounds + 1))

        def ours() -> None:
            with Session(folder / f"session {next(turn)}", model=model.name, checkpoint=model.weights.path) as session:
                session.add(files, show=False)
                session.prewarm(show=False).wait()

        def theirs() -> None:
            for file in files:
                predictor.set_image(np.asarray(Image.open(file).convert("RGB")))
                np.save(file.with_suffix(".npy"), predictor.get_image_embedding().numpy())

        return _in_turns(name, ours, theirs, rounds)


_MEASURES: dict[str, Callable[[str, SamModel, Any, list[Any], int], Comparison]] = {
    f"encode a picture of {SIZE_HW[1]} × {SIZE_HW[0]}": _encode,
    f"a click on {LARGE_HW[1]} × {LARGE_HW[0]}, embedding there": _click,
    f"{PROMPTS} clicks on one picture": _many,
    "a click on each of the pictures": _each,
    "add and prewarm the pictures": _prewarm,
}


# -- beside it -----------------------------------------------------------------------------------------


def _limit(model: SamModel, predictor: Any, pixels: Any, encode: Comparison) -> list[str]:
    """The encoder's arithmetic as bare matrix products, in the precision that the model computes in."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from .models.devices import on_threads
    from .models.machine_rates import product_rate

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        predictor.set_image(pixels)
    work = counter.get_total_flops()
    with on_threads(model.encoder_threads):
        rate = product_rate(model.precision)
    limit = work / rate * 1000
    return [
        f"limit: the encoder's {work / 1e9:,.1f} GFLOP as bare {model.precision} products ({rate / 1e9:,.0f} GFLOP/s "
        f"here): {limit:,.1f} ms; samnb's encode takes {encode.samnb_ms / limit:.2f} times that"
    ]


def _transformers(model: SamModel, pixels: Any, rounds: int) -> list[str]:
    """``SamModel`` of the size of vit_b, with random weights: the same work."""
    if model.name != "vit_b":
        return []
    try:
        from transformers import SamConfig, SamModel
    except ImportError:
        return ["transformers: not installed, so its SamModel was not measured"]
    import torch

    hugging, side = SamModel(SamConfig()).eval(), model.config.image_size
    frame = torch.rand(1, 3, side, side)
    with torch.inference_mode():
        comparison = _in_turns(
            "", lambda: model.encode(pixels), lambda: hugging.get_image_embeddings(frame), max(1, rounds - 1)
        )
    return [
        "transformers' SamModel, random weights, without its preprocessing: encodes in "
        f"{comparison.reference_ms:,.1f} ms, {comparison.ratio:.2f} times samnb's {comparison.samnb_ms:,.1f} ms"
    ]


def _micro_sam() -> str:
    from importlib.util import find_spec

    if find_spec("micro_sam") is None:
        return "micro-sam: not installed (it comes by conda), so its precompute was not measured"
    return "micro-sam: installed; its precompute runs SamPredictor.set_image, which is measured above"


def _machine() -> dict[str, str]:
    import torch

    from .models.devices import cpu_name, processors

    return {
        "machine": f"{platform.system()} {platform.machine()}, {cpu_name()}, {processors()} processors",
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
