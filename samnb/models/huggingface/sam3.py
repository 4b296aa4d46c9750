"""`Sam3`: phrases, examples and clicks from one embedding of an image.

The embedding is the last hidden state of the image encoder alone, before both necks: 1024 × 72 × 72, 10.6 MB at half
precision. Nothing in it depends on a prompt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CheckpointMismatch, PromptError
from ...prompts import Embedding
from ..batching import on_host
from ..devices import on_threads
from ..phrases import MIN_SCORE, Exemplar, Exemplars, ExemplarTokens, FoundObjects, check_boxes, check_search
from ..weights.checkpoints import ModelInfo, WeightFile
from .decoder import FamilyDecoder
from .families import FamilyConfig
from .model import HuggingFaceSam
from .sam3_decoder import ClickDecoder, PhraseDecoder
from .sam3_folder import Sam3Config


class Sam3(HuggingFaceSam):
    """SAM 3 of ``transformers``: `find` answers phrases and examples, `decode` clicks.

    Image encoder, click head and the part that knows words are built separately, each by the first call that needs it.

    Parameters
    ----------
    info : ModelInfo
    weights : WeightFile
        The file with the tensors; ``config.json`` and ``tokenizer.json`` lie beside it.
    device, precision : str
        See `LazyTorchModel`.

    Raises
    ------
    CheckpointMismatch
        The folder is of another family, of SAM 3.1, or its processor scales images to another size.
    """

    config: Sam3Config

    def __init__(self, info: ModelInfo, weights: WeightFile, *, device: str = "auto", precision: str = "auto"):
        super().__init__(info, weights, device=device, precision=precision)
        self.config.check_names(weights)
        self._finder: PhraseDecoder | None = None

    def find(
        self,
        embedding: Embedding,
        *,
        phrase: str | None = None,
        exemplars: Exemplars = (),
        min_score: float = MIN_SCORE,
    ) -> FoundObjects:
        """Find all objects that a phrase or examples name; see `samnb.models.phrases.SupportsPhrases`."""
        started = time.perf_counter()
        phrase = check_search(phrase, exemplars, embedding.original_size)
        with self._finding(embedding) as finder:
            found = finder.find(embedding, phrase, exemplars, min_score)
        return replace(found, ms=(time.perf_counter() - started) * 1000)

    def exemplar_tokens(self, embedding: Embedding, exemplars: Sequence[Exemplar]) -> ExemplarTokens:
        """Describe examples on one image for searches on others; see `samnb.models.phrases.SupportsPhrases`."""
        if not exemplars:
            raise PromptError("exemplars: expected at least one Exemplar(box); got none.")
        check_boxes(exemplars, embedding.original_size)
        with self._finding(embedding) as finder:
            return finder.exemplar_tokens(embedding, exemplars)

    def _read_config(self, info: ModelInfo, path: Path) -> FamilyConfig:
        read = super()._read_config(info, path)
        config = Sam3Config(read.family, read.folder, read.raw, read.processor)
        if read.processor and read.image_size != config.image_size:
            raise CheckpointMismatch(
                f"{read.folder}: its processor scales images to {read.image_size}, its config.json expects "
                f"{config.image_size}. Take both from one place."
            )
        return config

    def _build_encoder(self) -> Any:
        return self.config.encoder(self.weights).to(self.device)

    def _build_decoder(self) -> FamilyDecoder:
        neck, head = self.config.click_head(self.weights)
        return ClickDecoder(neck.to(self.device), head.to(self.device), self.config, self._image_processor, self.device)

    def _encode_batch(self, resized: Sequence[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
        output = self._encoder(self._frames(resized)).last_hidden_state
        side = self.config.image_size // int(self._encoder.config.patch_size)
        maps = output.transpose(1, 2).reshape(len(resized), -1, side, side)
        return [{"image_embedding": one} for one in on_host(maps)]

    @contextmanager
    def _finding(self, embedding: Embedding) -> Iterator[PhraseDecoder]:
        """Give the part that knows words, built, to this thread alone."""
        with self._errors_of("search", embedding.original_size), self._decoder_lock:
            import torch

            if self._finder is None:
                net = self.config.detector(self.weights).to(self.device)
                self._finder = PhraseDecoder(net, self.config.tokenizer(), self.fingerprint, self.device)
            with torch.inference_mode(), on_threads(self.encoder_threads):
                yield self._finder
