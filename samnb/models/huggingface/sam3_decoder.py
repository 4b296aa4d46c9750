"""What SAM 3 computes from an embedding: masks of clicks, and the objects that a phrase or examples name.

Both begin with a neck, which makes finer maps of the embedding. That is half of the work of a phrase and nearly all of
a click's, so the maps of the last images are kept.

Boxes are (x0, y0, x1, y1) in image pixels, sizes (H, W).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError, PromptError
from ...prompts import Embedding, LazyMasks
from ..phrases import Exemplar, Exemplars, ExemplarTokens, FoundObjects
from .decoder import FamilyDecoder
from .families import FamilyConfig

RECENT = 2
"""Images whose maps are kept: 111 MB each for phrases, 21 MB for clicks."""

PHRASES = 1000
"""Phrases whose features are kept, 32 KB each."""

Value = TypeVar("Value")


class Recent:
    """The last few values that were computed, by their key."""

    def __init__(self, count: int):
        self._count, self._values = count, OrderedDict[Any, Any]()

    def get(self, key: Any, compute: Callable[[], Value]) -> Value:
        """The value of that key, computed if it is not kept."""
        if key not in self._values:
            value = compute()
            while len(self._values) >= self._count:
                self._values.popitem(last=False)
            self._values[key] = value
        self._values.move_to_end(key)
        kept: Value = self._values[key]
        return kept


class ByTensors:
    """A key for values computed from an embedding's tensors: those of another image of equal numbers are others."""

    def __init__(self, embedding: Embedding):
        self._tensors = embedding.tensors  # held, so that its address is not used again

    def __hash__(self) -> int:
        return id(self._tensors)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByTensors) and other._tensors is self._tensors


class ClickDecoder(FamilyDecoder):
    """The click head, on the maps of its own neck.

    Parameters
    ----------
    neck, net : torch.nn.Module
    config : FamilyConfig
    image_processor : callable
    device : str
        See `FamilyDecoder`.
    """

    def __init__(self, neck: Any, net: Any, config: FamilyConfig, image_processor: Callable[[], Any], device: str):
        super().__init__(net, config, image_processor, device)
        self.threads = None  # the neck has work for all
        self.mixes_images = False  # the maps of few images are kept
        self._neck, self._maps = neck, Recent(RECENT)

    def _image_tensors(self, embedding: Embedding) -> dict[str, Any]:
        return self._maps.get(ByTensors(embedding), lambda: self._maps_of(embedding))

    def _maps_of(self, embedding: Embedding) -> dict[str, Any]:
        image = super()._image_tensors(embedding)["image_embedding"]
        fine, middle, coarse = self._neck(image[None])[0][:3]  # the fourth has no use
        decoder = self.net.mask_decoder
        # The net was trained with this embedding on the coarsest of the three maps. Sam3TrackerModel of transformers
        # 5.23 adds it to the fourth, and so not at all; Sam3TrackerVideoModel and Meta's own predictor add it here.
        coarse = coarse + self.net.no_memory_embedding.reshape(1, -1, 1, 1)
        maps = {"image_embedding": coarse, "high_res_0": decoder.conv_s0(fine), "high_res_1": decoder.conv_s1(middle)}
        return {name: one[0] for name, one in maps.items()}


class PhraseDecoder:
    """The detector: from an embedding, a phrase and examples to objects; call it within ``torch.inference_mode``.

    Parameters
    ----------
    net : torch.nn.Module
        Without its image encoder.
    tokenizer : callable
        Of ``transformers``.
    fingerprint, device : str
    """

    def __init__(self, net: Any, tokenizer: Any, fingerprint: str, device: str):
        self.net, self.device, self._tokenizer, self._fingerprint = net, device, tokenizer, fingerprint
        self._maps, self._texts = Recent(RECENT), Recent(PHRASES)

    def find(self, embedding: Embedding, phrase: str, exemplars: Exemplars, min_score: float) -> FoundObjects:
        """See `samnb.models.phrases.SupportsPhrases.find`; the phrase is checked."""
        import torch

        maps = self._maps_of(embedding)
        features, mask = self._texts.get(phrase, lambda: self._text(phrase))
        for tokens in (one for one in exemplars if isinstance(one, ExemplarTokens)):
            values = self._of_other_image(tokens)
            features = torch.cat([features, values], dim=1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1]).expand(-1, values.shape[1])], dim=1)
        boxes = [one for one in exemplars if isinstance(one, Exemplar)]
        answer = self.net(
            vision_embeds=maps,
            text_embeds=_as_output(features),
            attention_mask=mask,
            **({} if not boxes else self._box_arguments(boxes, embedding.original_size)),
        )
        scores = (answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid())[0].float().cpu().numpy()
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] > min_score]
        logits = answer.pred_masks[0, torch.from_numpy(order).to(self.device)].float().cpu()
        height, width = embedding.original_size
        corners = answer.pred_boxes[0].float().cpu().numpy()[order] * np.array([width, height] * 2, np.float32)
        masks, small = _scaled_masks(logits, (height, width)), (logits > 0).numpy()
        return FoundObjects(phrase, scores[order], corners, masks, small, model=self._fingerprint)

    def exemplar_tokens(self, embedding: Embedding, exemplars: Sequence[Exemplar]) -> ExemplarTokens:
        """See `samnb.models.phrases.SupportsPhrases.exemplar_tokens`."""
        import torch

        maps = self._maps_of(embedding)
        given = self._box_arguments(exemplars, embedding.original_size)
        output = self.net.geometry_encoder(
            box_embeddings=given["input_boxes"],
            box_mask=torch.ones_like(given["input_boxes_labels"], dtype=torch.bool),
            box_labels=given["input_boxes_labels"],
            img_feats=maps.fpn_hidden_states[:-1],
            img_pos_embeds=maps.fpn_position_encoding[:-1],
        )
        values: NDArray[np.float32] = output.last_hidden_state[0].float().cpu().numpy()
        return ExemplarTokens(values, self._fingerprint)

    def _maps_of(self, embedding: Embedding) -> Any:
        return self._maps.get(ByTensors(embedding), lambda: self._new_maps(embedding))

    def _new_maps(self, embedding: Embedding) -> Any:
        import torch
        from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

        config = self.net.config.vision_config.backbone_config
        side = int(config.image_size) // int(config.patch_size)
        image = embedding.tensors.get("image_embedding")
        if image is None or image.shape != (config.hidden_size, side, side):
            got = {name: tensor.shape for name, tensor in embedding.tensors.items()}
            raise ModelError(
                f"The embedding is another model's: expected image_embedding {(config.hidden_size, side, side)}; got "
                f"{got}. Encode the image with this model."
            )
        features = torch.tensor(image, dtype=torch.float32, device=self.device)[None]
        maps, places = self.net.vision_encoder.neck(features)
        return Sam3VisionEncoderOutput(fpn_hidden_states=maps, fpn_position_encoding=places)

    def _text(self, phrase: str) -> tuple[Any, Any]:
        """Features (1, tokens, C) of a phrase, and which of them count, (1, tokens)."""
        most = self.net.config.text_config.max_position_embeddings
        given = self._tokenizer(phrase, return_tensors="pt", padding="max_length", max_length=most)
        count = int(given["attention_mask"].sum())
        if given["input_ids"].shape[1] > most:
            raise PromptError(f"phrase: expected at most {most} tokens; got {count}: {phrase!r}. Use fewer words.")
        ids, mask = given["input_ids"].to(self.device), given["attention_mask"].to(self.device)
        output = self.net.get_text_features(input_ids=ids, attention_mask=mask)
        return getattr(output, "pooler_output", output), mask

    def _of_other_image(self, tokens: ExemplarTokens) -> Any:
        import torch

        size = self.net.config.detr_encoder_config.hidden_size
        if tokens.model != self._fingerprint or tokens.values.ndim != 2 or tokens.values.shape[1] != size:
            raise ModelError(
                f"These exemplar tokens are of another model ({tokens.model[:24]}…, shape {tokens.values.shape}); "
                f"expected (N, {size}) of {self._fingerprint[:24]}…. Compute them with this model's exemplar_tokens."
            )
        return torch.tensor(tokens.values, dtype=torch.float32, device=self.device)[None]

    def _box_arguments(self, exemplars: Sequence[Exemplar], size_hw: tuple[int, int]) -> dict[str, Any]:
        """Boxes as centres and sizes, 0 to 1, and 1 for positive ones."""
        import torch

        height, width = size_hw
        corners = torch.tensor([one.box for one in exemplars], dtype=torch.float32)
        x0, y0, x1, y1 = (corners / torch.tensor([width, height, width, height], dtype=torch.float32)).unbind(-1)
        boxes = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=-1)
        labels = torch.tensor([int(one.positive) for one in exemplars])
        return {"input_boxes": boxes[None].to(self.device), "input_boxes_labels": labels[None].to(self.device)}


def _as_output(features: Any) -> Any:
    """Text features as any version of transformers takes them: 5.0 as a tensor, later ones as its `pooler_output`."""
    both = features.view_as(features)
    both.pooler_output = features
    return both


def _scaled_masks(logits: Any, size_hw: tuple[int, int]) -> LazyMasks:
    """Masks of (N, h, w) logits at the size of the image: probabilities are scaled, as the processor does it."""

    def make(index: int, out: NDArray[np.bool_]) -> None:
        import torch

        scaled = torch.nn.functional.interpolate(logits[index].sigmoid()[None, None], size=size_hw, mode="bilinear")
        out[:] = (scaled[0, 0] > 0.5).numpy()

    return LazyMasks(len(logits), size_hw, make)
