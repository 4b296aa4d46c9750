"""The protocols a model implements: `Model`, what it may support beside it, and its entry in the registry."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..prompts import Embedding, Prediction, Prompt
from .preprocessing import Prepared
from .weights.checkpoints import ModelInfo

if TYPE_CHECKING:
    from PIL.Image import Image


@runtime_checkable
class Model(Protocol):
    """An image encoder that runs once for each image, and a decoder that answers each prompt.

    A model owns its net, device and locks; the image is always an argument. A model that gives features only, for
    templates to compare, has no `decode`.
    """

    @property
    def name(self) -> str:
        """The name in the registry: ``"tiny"``, ``"vit_b"``, …"""

    @property
    def fingerprint(self) -> str:
        """``<family>-<SHA-256 of the weight file>``; known before torch is imported."""

    @property
    def embedding_spec(self) -> str:
        """What else an embedding depends on: preprocessing, its version, precision of the encoder."""

    @property
    def device(self) -> str:
        """``"cpu"``, ``"cuda"`` or ``"mps"``; ``"auto"`` is resolved, which may import torch."""

    @property
    def encoder_built(self) -> bool:
        """False until the first `encode`."""

    @property
    def encodes(self) -> int:
        """Number of images that this object has encoded."""

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Compute the embedding, float32 arrays, of (H, W, 3) uint8 RGB pixels."""

    def decode(
        self,
        embedding: Embedding,
        prompt: Prompt,
        *,
        multimask: bool = True,
        mask_input: NDArray[np.floating[Any]] | None = None,
    ) -> Prediction:
        """Compute candidate masks for one prompt; the caller sets `image` and `cache_hit` of the prediction."""


@runtime_checkable
class SupportsBatches(Protocol):
    """A `Model` that encodes several images in one run; preparing them is work for other threads."""

    def prepare(self, pixels: NDArray[np.uint8] | Image) -> Prepared:
        """Check and scale (H, W, 3) uint8 RGB pixels, or an upright RGB image of Pillow's, without the net."""

    def encode_prepared(self, batch: Sequence[Prepared]) -> list[Embedding]:
        """Compute one embedding for each prepared image, in their order."""


@runtime_checkable
class EncodesSideBySide(Protocol):
    """A `SupportsBatches` model that encodes the images of a batch at the same time, each on one processor."""

    def side_by_side(self) -> int:
        """How many at most; 1 for one after the other."""


@runtime_checkable
class HasThreads(Protocol):
    """A `Model` with a number of processor threads for its image encoder."""

    @property
    def encoder_threads(self) -> int | None:
        """Number of threads; None leaves it to the caller."""


@runtime_checkable
class HasFrame(Protocol):
    """A `Model` whose input is a square of fixed size."""

    @property
    def frame(self) -> int:
        """Its side, in pixels."""


@runtime_checkable
class HasPrecision(Protocol):
    """A `Model` whose image encoder can compute in several precisions."""

    @property
    def precision(self) -> str:
        """``"float32"``, ``"float16"`` or ``"bfloat16"``."""


@runtime_checkable
class ChoosesPrecision(Protocol):
    """A `Model` that may choose the precision of its image encoder by a check of this machine."""

    @property
    def may_choose(self) -> bool:
        """Whether reading its precision may run that check."""

    def settle(self, precision: str, reason: str) -> None:
        """Choose without a check."""

    def spec_in(self, precision: str) -> str:
        """Its embedding spec in a precision."""


@dataclass(frozen=True)
class ModelEntry:
    """One model of the registry: what is known about it, and how to load it from a checked weight file.

    Parameters
    ----------
    info : ModelInfo
    load : callable
        Called as ``load(info, weights, device=device)``, and returns a `Model`. `weights` is the checked `WeightFile`,
        or None for a model whose `file_name` is "". It should not import torch yet. If it has a parameter `precision`,
        it gets the one that is asked for, where that is not "auto".

    Examples
    --------
    >>> from samnb.models import REGISTRY, ModelInfo
    >>> info = ModelInfo("mine", "mine", "", None, None, bundled=False, description="Without a weight file.")
    >>> entry = ModelEntry(info, lambda info, weights, *, device: REGISTRY["tiny"].load(info, weights, device=device))
    >>> entry.info.name
    'mine'
    """

    info: ModelInfo
    load: Callable[..., Model]


def draws(model: object) -> bool:
    """Tell whether a model draws masks; some give features only, for templates to compare.

    Parameters
    ----------
    model : Model

    Returns
    -------
    bool
        True if it has a method `decode`.

    Examples
    --------
    >>> from samnb.models import load_model
    >>> draws(load_model("tiny"))
    True
    """
    return callable(getattr(model, "decode", None))


def check_draws(model: Model) -> None:
    """Check that a model draws masks, where masks are wanted.

    Parameters
    ----------
    model : Model

    Raises
    ------
    ModelError
        It gives features only; see `draws`.

    Examples
    --------
    >>> from samnb.models import load_model
    >>> check_draws(load_model("tiny"))
    """
    if not draws(model):
        raise ModelError(
            f"{model.name} gives features only and draws no masks. Open the session with a model that does, such as "
            f"'tiny', and let templates compare its features: session.template(…, features={model.name!r})."
        )


def embedding_spec_of(model: Model) -> str:
    """Read `Model.embedding_spec`, or `recipe`, as models of older plugins call it.

    Parameters
    ----------
    model : Model

    Returns
    -------
    str
        What an embedding depends on beside the weights. Embeddings of another one are not used.

    Raises
    ------
    ModelError
        It has neither of the two.

    Warns
    -----
    DeprecationWarning
        It has `recipe` only.

    Examples
    --------
    >>> from samnb.models import load_model
    >>> embedding_spec_of(load_model("tiny", precision="float32")).endswith("compute=float32")
    True
    """
    try:
        return model.embedding_spec
    except AttributeError as error:
        if not hasattr(model, "recipe"):
            raise ModelError(
                f"{type(model).__name__} has no embedding_spec ({error}). A model names there what its embeddings "
                "depend on beside its weights, such as 'mine/1:compute=float32'."
            ) from error
        spec: str = model.recipe  # type: ignore[attr-defined]
    warnings.warn(f"{type(model).__name__}: rename `recipe` to `embedding_spec`.", DeprecationWarning, stacklevel=2)
    return spec
