"""Models: an image encoder that runs once for each image, and a decoder that answers each prompt.

>>> from samnb.models import available_models, load_model
>>> [info.name for info in available_models()][:6]
['tiny', 'vit_b', 'vit_l', 'vit_h', 'mobile_sam', 'sam2.1_hiera_tiny']

`load_model` is cheap: it checks and hashes the weight file. torch is imported, and a net built, when the first image is
encoded or the first prompt decoded; a prompt on a cached embedding never builds the encoder. samnb's own models are the
entries of `REGISTRY`; other packages add theirs by the entry point group ``samnb.models`` (docs/models.md).
"""

from .candidates import Candidates, SupportsProposals
from .phrases import Exemplar, ExemplarTokens, FoundObjects, SupportsPhrases
from .protocol import (
    ChoosesPrecision,
    EncodesSideBySide,
    HasFrame,
    HasPrecision,
    HasThreads,
    Model,
    ModelEntry,
    SupportsBatches,
    check_draws,
    draws,
    embedding_spec_of,
)
from .registry import (
    REGISTRY,
    available_models,
    broken_plugins,
    check_phrases,
    download,
    finder,
    installed,
    load_model,
    missing_packages,
    model_card,
)
from .weights.checkpoints import ModelInfo

Entry = ModelEntry
"""The older name of `ModelEntry`."""

Proposal = Candidates
"""The older name of `Candidates`."""

__all__ = [
    "REGISTRY",
    "Candidates",
    "ChoosesPrecision",
    "EncodesSideBySide",
    "Entry",
    "Exemplar",
    "ExemplarTokens",
    "FoundObjects",
    "HasFrame",
    "HasPrecision",
    "HasThreads",
    "Model",
    "ModelEntry",
    "ModelInfo",
    "Proposal",
    "SupportsBatches",
    "SupportsPhrases",
    "SupportsProposals",
    "available_models",
    "broken_plugins",
    "check_draws",
    "check_phrases",
    "download",
    "draws",
    "embedding_spec_of",
    "finder",
    "installed",
    "load_model",
    "missing_packages",
    "model_card",
]
