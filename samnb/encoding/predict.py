"""`Predictor`: masks for one prompt on an image of the catalog, or on a region of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..masks.part import MaskPart
from ..models import Model
from ..prompts import Prediction, Prompt
from ..records import ImageRecord
from .encoder import Encoder
from .regions import Region, check_region, in_region, whole

MOST_TILES = 4
"""How many tiles of a large image a click may need: its own, and larger ones around an object that is larger."""

_log = logging.getLogger("samnb.session")


class Predictor:
    """Decodes prompts on the embeddings of an `Encoder`.

    Parameters
    ----------
    encoder : Encoder
    model : Model
    """

    def __init__(self, encoder: Encoder, model: Model):
        self._encoder, self._model = encoder, model

    def predict(
        self,
        image: ImageRecord,
        prompt: Prompt,
        *,
        multimask: bool = True,
        mask_input: NDArray[np.float32] | None = None,
        region: Region | None = None,
    ) -> Prediction:
        """Masks for one object; the encoder runs only if the image, or the region, was never encoded before.

        Parameters
        ----------
        image : ImageRecord
            One whose file was read.
        prompt : Prompt
            In image pixels.
        multimask : bool
            Three candidate masks, or one.
        mask_input : (h, w) float32, optional
            Mask logits of an earlier prediction for the same object in the same region.
        region : (x0, y0, x1, y1), optional
            Encode this part of the image separately; whole image pixels.

        Raises
        ------
        PromptError
            A point outside the image or the region, or wrong shapes.
        ImageError
            The file is gone, damaged, or no longer holds the pixels it was added with.
        """
        started = time.perf_counter()
        prompt.check_inside(image.size_hw, image.filename)
        options: Any = {"multimask": multimask, "mask_input": mask_input}
        if region is not None:
            prediction, hit = self._in_region(image, prompt, check_region(region, image.size_hw), options)
        elif self._encoder.large.has(image):
            prediction, hit = self._on_tiles(image, prompt, options)
        else:
            embedding, hit = self._encoder.embedding(image, urgent=True)
            prediction = self._model.decode(embedding, prompt, **options)
        seconds = time.perf_counter() - started
        _log.info("[SAM] Predicted mask in %.1fs (cache_hit=%s)", seconds, hit)
        return prediction.but(image=image.filename, image_id=image.id, cache_hit=hit, ms=seconds * 1000)

    def _in_region(
        self, image: ImageRecord, prompt: Prompt, region: Region, options: Mapping[str, Any]
    ) -> tuple[Prediction, bool]:
        prompt_in_region = in_region(prompt, region)
        embedding, hit = self._encoder.region_embedding(image, region)
        return whole(self._model.decode(embedding, prompt_in_region, **options), region, image.size_hw, prompt), hit

    def _on_tiles(self, image: ImageRecord, prompt: Prompt, options: Mapping[str, Any]) -> tuple[Prediction, bool]:
        """On the nearest tile of a large image; if the mask touches its rim, on a tile centred on the object."""
        grid = self._encoder.large.grid(image)
        tile = grid.for_prompt(prompt)
        prediction, hit = self._in_region(image, prompt, tile, options)
        for _ in range(MOST_TILES - 1):
            corner, mask = prediction.part_of(prediction.best_for(prompt))
            better = grid.beyond(tile, MaskPart.of(mask, corner, image.size_hw), prompt)
            if better is None:
                break
            tile = better
            prediction, there = self._in_region(image, prompt, tile, {**options, "mask_input": None})
            hit = hit and there
        return prediction, hit
