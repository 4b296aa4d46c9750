"""A model without a network that knows two words: the colours of what it finds."""

from __future__ import annotations

import cv2
import numpy as np

from samnb.models import Exemplar, ExemplarTokens, FoundObjects
from samnb.models.phrases import MIN_SCORE, check_boxes, check_search
from samnb.prompts import LazyMasks
from tests.support.numpy_model import NumpyModel

COLOURS = {"red square": (220, 30, 30), "green square": (30, 200, 40)}


class WordsModel(NumpyModel):
    """Finds connected parts of one colour; a large one has a higher score. A token is a colour and its sign."""

    name = "words"
    fingerprint = "words-0"

    def __init__(self, **options):
        super().__init__(**options)
        self.finds = 0

    def find(self, embedding, *, phrase=None, exemplars=(), min_score=MIN_SCORE):
        self.finds += 1
        phrase = check_search(phrase, exemplars, embedding.original_size)
        assert all(one.model == self.fingerprint for one in exemplars if isinstance(one, ExemplarTokens))
        own = [one for one in exemplars if isinstance(one, Exemplar)]
        tokens = [one.values[:-1] for one in exemplars if isinstance(one, ExemplarTokens)]
        tokens += [self.exemplar_tokens(embedding, own).values[:-1]] if own else []
        if phrase in COLOURS:
            tokens.append(np.array([[*(value / 255 for value in COLOURS[phrase]), 1]]))
        grid, (height, width) = embedding.tensors["image_embedding"].astype(np.float32), embedding.original_size
        meant = np.zeros(grid.shape[1:], bool)
        for sign in (1, -1):
            for *colour, own_sign in np.concatenate([*tokens, np.zeros((0, 4))]):
                if own_sign == sign:
                    near = np.abs(grid - np.array(colour)[:, None, None]).max(axis=0) < 0.2
                    meant = meant | near if sign == 1 else meant & ~near
        count, labels = cv2.connectedComponents(meant.astype(np.uint8), connectivity=4)
        small = np.array([labels == number for number in range(1, count)], bool).reshape(-1, *grid.shape[1:])
        scores = np.array([min(0.99, 0.2 + mask.sum() / 40) for mask in small], np.float32)
        order = [number for number in np.argsort(-scores, kind="stable") if scores[number] > min_score]
        small, scores = small[order], scores[order]
        rows, columns = np.arange(height) * 16 // height, np.arange(width) * 16 // width

        def make(index, out):
            out[:] = small[index][rows][:, columns]

        masks = LazyMasks(len(order), (height, width), make)
        return FoundObjects(phrase, scores, self._boxes(masks), masks, small, self.fingerprint)

    def exemplar_tokens(self, embedding, exemplars):
        check_boxes(exemplars, embedding.original_size)
        grid, (height, width) = embedding.tensors["image_embedding"], embedding.original_size
        values = []
        for one in exemplars:
            x, y = (one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2
            colour = grid[:, min(15, int(y * 16 / height)), min(15, int(x * 16 / width))]
            values.append([*colour, 1 if one.positive else -1])
        return ExemplarTokens(np.array([*values, [0] * 4], np.float32), self.fingerprint)

    @staticmethod
    def _boxes(masks):
        boxes = []
        for mask in masks.all():
            ys, xs = np.nonzero(mask)
            boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        return np.array(boxes, np.float32).reshape(-1, 4)
