"""For teachers: the solutions of all exercises, under the names that the notebooks use. The tests run them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

# -- 1 · What an embedding is
runs = 2


def similarity(features, y, x):
    unit = features / np.linalg.norm(features, axis=0, keepdims=True)
    return np.einsum("c,chw->hw", unit[:, y, x], unit)


def speedup(encode, click, clicks):
    return clicks * (encode + click) / (encode + clicks * click)


# -- 2 · Prompts and ambiguity
points, point_labels = [(225, 50), (225, 120)], [1, 0]


def choose(masks, scores, points, point_labels):
    satisfied = [
        sum(bool(mask[int(y), int(x)]) == bool(label) for (x, y), label in zip(points, point_labels, strict=True))
        for mask in masks
    ]
    return max(range(len(masks)), key=lambda index: (satisfied[index], scores[index]))


def to_xyxy(bbox):
    x, y, width, height = bbox
    return x, y, x + width, y + height


# -- 3 · How good is a mask
def iou(one, other):
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


def next_point(wanted, shown):
    mistakes = (shown & ~wanted, wanted & ~shown)
    depths = [ndimage.distance_transform_edt(np.pad(mistake, 1))[1:-1, 1:-1] for mistake in mistakes]
    label = int(depths[1].max() > depths[0].max())
    y, x = np.unravel_index(depths[label].argmax(), wanted.shape)
    return (int(x), int(y)), label


def interval(values):
    drawn = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.percentile(drawn.mean(axis=1), [2.5, 97.5])
    return low, high


# -- 4 · Identity of pictures
equal = {
    "renamed": {"content", "pixels", "perceptual"},
    "saved again as PNG": {"pixels", "perceptual"},
    "one pixel changed": {"perceptual"},
    "saved as JPEG": {"perceptual"},
    "another picture": set(),
}


def distance(one, other):
    return (int(one, 16) ^ int(other, 16)).bit_count()


threshold = 51


# -- 5 · From one example to a data set
def precision_recall(right, found, there):
    return (right / found if found else 1.0), (right / there if there else 1.0)


def best_threshold(scores, right, there):
    def f1(threshold):
        kept = scores >= threshold
        precision, recall = precision_recall(right[kept].sum(), kept.sum(), there)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    return max(scores, key=f1)


first = 1

# -- 6 · A result that others can repeat
needed = {"pixels", "weights", "prompts", "versions"}
changed = "coins_2.png"


def differing(one, other):
    return int((one != other).sum())
