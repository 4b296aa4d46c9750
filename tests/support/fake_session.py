"""A session without files, a database and models: discs round the first point, and the whole picture, as masks."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np

from samnb.annotations.changes import AnnotationChanges
from samnb.errors import ModelError, PromptError, UnknownName, WorkWouldBeLost
from samnb.images import thumbnail
from samnb.jobs import Event, Job
from samnb.masks import encode_rle, mask_area, mask_bbox, mask_iou
from samnb.masks.editing import pieces
from samnb.masks.part import MaskPart
from samnb.prompts import Prediction, Prompt
from samnb.records import AttributeRecord, CategoryRecord


@dataclass(frozen=True)
class FakeImage:
    id: str
    filename: str
    width: int
    height: int
    dataset: str = "monday"
    embedding_cached: bool = True
    pixel_hash: str = ""

    @property
    def size_hw(self):
        return (self.height, self.width)


@dataclass(frozen=True)
class FakeDataset:
    name: str
    images: int
    cached: int


@dataclass(frozen=True, eq=False)
class FakeAnnotation:
    id: int
    image_id: str
    category: str
    mask: np.ndarray
    score: float
    prompt: Prompt
    layer: int = 0
    updated_at: int = 0
    created_at: str = ""
    review: str = ""
    source: str = "hand"
    attributes: dict = field(default_factory=dict)

    @property
    def rle(self):
        return encode_rle(self.mask)

    @property
    def bbox(self):
        return mask_bbox(self.mask)

    @property
    def part(self):
        return MaskPart.of(self.mask)

    @property
    def area(self):
        return mask_area(self.mask)

    @property
    def values(self):
        """What two equal ones have in common, however often they were changed and changed back."""
        same = (self.id, self.image_id, self.category, self.mask.tobytes(), self.score, self.prompt, self.layer)
        return (*same, self.review, *self.attributes.items())


@dataclass(frozen=True)
class FakeQuery:
    kind: str


@dataclass(frozen=True, eq=False)
class FakeProposal:
    id: int
    image_id: str
    search: str
    mask: np.ndarray
    score: float

    @property
    def rle(self):
        return encode_rle(self.mask)

    @property
    def bbox(self):
        return mask_bbox(self.mask)

    @property
    def area(self):
        return mask_area(self.mask)


@dataclass(eq=False)
class FakeSession:
    """Discs round the first point, and the whole picture, as masks."""

    sizes: list = field(default_factory=lambda: [(120, 80), (80, 120), (60, 60)])
    name: str = "coins"
    cached: bool = True
    kept: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    hints: list = field(default_factory=list)
    regions: list = field(default_factory=list)
    gate: threading.Event | None = None
    error: Exception | None = None
    unreadable: tuple = ()
    named: dict = field(default_factory=dict)
    _tints: dict = field(default_factory=dict)
    searched: dict = field(default_factory=dict)
    rejected: set = field(default_factory=set)
    states: dict = field(default_factory=dict)
    opened: list = field(default_factory=list)
    declared: list = field(default_factory=list)
    changes: AnnotationChanges = field(default_factory=AnnotationChanges)
    encoding_changes: AnnotationChanges = field(default_factory=AnnotationChanges)
    model: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="tiny"))

    def __post_init__(self):
        self._times, self._ids = itertools.count(1), itertools.count(1)

    # -- images

    def images(self, dataset=None):
        if dataset not in (None, "monday"):
            raise UnknownName("dataset", dataset, ["monday"])
        return [FakeImage(str(i), f"{i}.png", w, h) for i, (w, h) in enumerate(self.sizes)]

    def image(self, image, *, dataset=None):
        for record in self.images():
            if image in (record, record.id, record.filename):
                return record
        raise UnknownName("image", image, [r.filename for r in self.images()])

    def datasets(self):
        return [FakeDataset("monday", len(self.sizes), len(self.sizes) if self.cached else 0)]

    def encoding_state(self, image):
        return "cached" if self.cached else "unknown"

    def prefetch(self, image, *, neighbours=()):
        pass

    def pixels(self, image):
        if image.filename in self.unreadable:
            raise ModelError(f"{image.filename}: gone. Put it back.")
        return np.full((image.height, image.width, 3), 90, np.uint8)

    def large_picture(self, image):
        return None

    def region_pixels(self, image, region, *, level=0):
        x0, y0, x1, y1 = region
        return self.pixels(image)[y0 : y1 : 1 << level, x0 : x1 : 1 << level]

    def thumbnail(self, image, longest_side=96):
        return thumbnail(self.pixels(image), longest_side)

    def is_cached(self, image, *, region=None):
        return self.cached

    # -- prompts

    def predict(self, image, *, prompt=None, multimask=True, mask_input=None, region=None):
        self.asked.append(prompt)
        self.regions.append(region)
        self.hints.append(mask_input)
        if self.gate is not None:
            assert self.gate.wait(300)
        if self.error is not None:
            raise self.error
        x, y = prompt.points[0] if prompt.points else prompt.box[:2]
        rows, columns = np.mgrid[: image.height, : image.width]
        distance = np.hypot(columns - x, rows - y)
        masks = np.stack([distance < 9, distance < 20, np.ones_like(distance, bool)])
        hit, self.cached = self.cached, True
        scores = np.array([0.81, 0.94, 0.4], np.float32)
        logits = np.stack([np.full((4, 4), n, np.float32) for n in range(3)])
        return Prediction(
            masks, scores, logits, prompt, image.filename, image.id, cache_hit=hit, ms=38.2, region=region
        )

    # -- annotations

    def accept(self, prediction, *, category, index=None):
        index = prediction.best if index is None else index
        image = self.image(prediction.image_id)
        return self.accept_mask(
            image,
            prediction.masks[index],
            category=category,
            prompt=prediction.prompt,
            score=float(prediction.scores[index]),
        )

    def accept_mask(self, image, mask, *, category, prompt=None, score=1.0):
        if not mask.any():
            raise PromptError("The chosen mask is empty: nothing to keep.")
        self.kept.append(FakeAnnotation(next(self._ids), image.id, category, mask, score, prompt or Prompt()))
        self.changes.emit(image.id)
        return self.kept[-1]

    def annotations(self, *, category=None, image=None, dataset=None):
        return [a for a in self.kept if a.review != "rejected" and (image is None or a.image_id == image.id)]

    def annotation_counts(self, dataset=None, *, review=None):
        return dict(Counter(a.image_id for a in self.annotations() if review in (None, a.review)))

    def copy_annotations(self, annotations, image):
        copies = [self.accept_mask(image, a.mask, category=a.category, score=a.score) for a in annotations]
        return [self.update(copy, attributes=a.attributes) for copy, a in zip(copies, annotations, strict=True)]

    def approve(self, annotation):
        return self.update(annotation, review="accepted")

    def reject(self, annotation):
        return self.update(annotation, review="rejected")

    # -- states of images, attributes

    def mark_image(self, image, state):
        self.states[image.id] = state
        self.changes.emit(image.id)

    def image_states(self, dataset=None):
        return {image_id: state for image_id, state in self.states.items() if state}

    def note_opened(self, image):
        self.opened.append(image.id)

    def stack_places(self, image):
        return [(self.image(image), {})]

    def is_scientific(self, image):
        return False

    def pixel_size(self, image):
        return None

    def open_source(self, image):
        raise NotImplementedError

    def use_view(self, image, view):
        raise NotImplementedError

    def opened_last(self, dataset=None):
        return self.image(self.opened[-1]) if self.opened else None

    def add_job(self, source, *, dataset="default", show=True):
        self.sizes = [*self.sizes, *((90, 60) for _ in source)]
        self.changes.emit()
        return Job("add", lambda control: iter([Event("done")]))

    def attributes(self):
        return list(self.declared)

    def add_attribute(self, name, *, kind="flag", choices=()):
        self.declared.append(AttributeRecord(name, kind, tuple(choices), len(self.declared)))
        self.changes.emit()
        return self.declared[-1]

    def update(self, annotation, **values):
        place = next((i for i, a in enumerate(self.kept) if a.id == annotation.id), None)
        if place is None:
            raise UnknownName("annotation", annotation.id, [])
        if isinstance(values.get("mask"), MaskPart):
            values["mask"] = values["mask"].whole
        if values.get("mask") is not None and not values["mask"].any():
            raise PromptError("The mask is empty: nothing to keep.")
        given = {name: value for name, value in values.items() if value is not None}
        self.kept[place] = replace(self.kept[place], **given, updated_at=next(self._times))
        self.changes.emit(annotation.image_id)
        return self.kept[place]

    def restore(self, annotations, *, changed_from=()):
        for annotation in annotations:
            others = [a for a in self.kept if a.id != annotation.id]
            self.kept = sorted([*others, annotation], key=lambda a: a.id)
            self.changes.emit(annotation.image_id)

    def remove(self, annotation):
        before = len(self.kept)
        self.kept = [a for a in self.kept if a.id != annotation.id]
        self.changes.emit(annotation.image_id)
        return len(self.kept) < before

    def merge(self, annotations):
        first, *others = annotations
        if not others:
            raise PromptError("merge: expected two or more annotations.")
        for other in others:
            self.remove(other)
        return self.update(first, mask=np.logical_or.reduce([each.mask for each in annotations]))

    def split(self, annotation):
        first, *others = pieces(annotation.mask)
        if not others:
            raise PromptError("split: the mask is one piece.")
        image = self.image(annotation.image_id)
        return [
            self.update(annotation, mask=first),
            *(self.accept_mask(image, part, category=annotation.category) for part in others),
        ]

    # -- proposals: discs in a row, and one round the first

    def everything(self):
        return FakeQuery("everything")

    def like(self, example):
        return FakeQuery("like")

    def propose(self, query, *, images, show=True):
        return Job("find", lambda control: self._proposed(query, images))

    def _proposed(self, query, images):
        if self.error is not None:
            return iter([Event("failed", details={"error": str(self.error)}), Event("done")])
        for image in images:
            if (image.id, query.kind) not in self.searched:
                self.searched[image.id, query.kind] = self._found(image, query)
        return iter([Event("computed"), Event("done")])

    def _found(self, image, query):
        discs = [(20, 40, 9, 0.9), (50, 40, 9, 0.8), (80, 40, 9, 0.7), (20, 40, 16, 0.6)]
        some = discs if query.kind == "everything" else discs[:2]
        rows, columns = np.mgrid[: image.height, : image.width]
        masks = [(np.hypot(columns - x, rows - y) < radius, score) for x, y, radius, score in some]
        return [FakeProposal(next(self._ids), image.id, query.kind, mask, score) for mask, score in masks if mask.any()]

    def proposals(self, *, images, query=None, kind=None, annotated=False, rejected=False):
        [image] = images
        found = self.searched.get((image.id, kind or query.kind), [])
        there = [a.mask for a in self.kept if a.image_id == image.id]
        shown = [p for p in found if rejected or p.id not in self.rejected]
        return [p for p in shown if annotated or not any(mask_iou(p.mask, mask) > 0.5 for mask in there)]

    def group_proposals(self, proposals):
        some = list(proposals)
        small = [p for p in some if p.area < 400]
        return [group for group in (small, [p for p in some if p not in small]) if group]

    def accept_proposals(self, proposals, *, category):
        return [
            next((a for a in self.kept if a.image_id == p.image_id and np.array_equal(a.mask, p.mask)), None)
            or self.accept_mask(self.image(p.image_id), p.mask, category=category, score=p.score)
            for p in proposals
        ]

    def reject_proposals(self, proposals):
        self.rejected |= {p.id for p in proposals}
        return len(proposals)

    def unreview_proposals(self, proposals):
        self.rejected -= {p.id for p in proposals}
        return len(proposals)

    # -- categories

    def categories(self):
        return list(dict.fromkeys([*self.named, *(a.category for a in self.kept)]))

    def category_used_last(self):
        return max((a.id, a.category) for a in self.kept)[1] if self.kept else None

    def category_records(self):
        # As in the catalog, two categories have different colours: one that takes another's place is no rename of it.
        tints = {
            n: self._tints.setdefault(n, f"#{0x336699 + 0x1357 * len(self._tints):06x}") for n in self.categories()
        }
        return [CategoryRecord(n, self.named.get(n) or tints[n], i) for i, n in enumerate(tints)]

    def add_category(self, name, *, color=None):
        self.named[name] = color
        self.changes.emit()

    def move_category(self, name, position):
        names = [each for each in self.categories() if each != name]
        names.insert(position, name)
        self.named = {each: self.named.get(each) for each in names}
        self.changes.emit()

    def merge_category(self, name, into):
        moved = sum(a.category == name for a in self.kept)
        self.kept = [replace(a, category=into) if a.category == name else a for a in self.kept]
        self.named.pop(name, None)
        self.changes.emit()
        return moved

    def remove_category(self, name):
        if any(a.category == name for a in self.kept):
            raise WorkWouldBeLost(f"category {name!r}", 1)
        del self.named[name]
        self.changes.emit()

    def rename_category(self, name, new_name):
        if name in self._tints:
            self._tints[new_name] = self._tints.pop(name)
        self.named = {new_name if n == name else n: color for n, color in self.named.items()}
        self.kept = [replace(a, category=new_name) if a.category == name else a for a in self.kept]
        self.changes.emit()
