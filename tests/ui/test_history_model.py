"""The annotator's history against plain dictionaries: every step undone and redone exactly, on a real session."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import ExitStack
from functools import cache as once
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

import samnb.session
from samnb.masks.editing import stroke_mask
from samnb.masks.rle import decode_rle
from samnb.session import Session
from samnb.ui.annotator import change_follower
from samnb.ui.annotator.rendering import Renderer
from samnb.ui.common.background import Answer, LatestOnlyWorker, Work
from samnb.widgets import Annotator
from tests.support.machines import SOAK, Machine, machine, new_folder
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import GREEN, RED, scene

pytestmark = pytest.mark.slow

places, which = st.integers(5, 155), st.integers(0, 1)
names = st.sampled_from(["coin", "key", "nut"])


class InTurn(LatestOnlyWorker):
    """A worker that works when it is waited for, so that no step waits for a thread to be given the processor.

    `make soak` has the threads.
    """

    @property
    def busy(self) -> bool:
        return bool(self._slots)

    def submit(self, work: Work, answer: Answer, *, priority: int = 0) -> None:
        self._slots[priority] = (work, answer)

    def wait(self, timeout: float = 30.0) -> None:
        while self._slots:
            work, answer = self._slots.pop(min(self._slots))
            answer(work(), None)


MOST = 8
"""Objects on an image, above which only hands add some: with fifty, a step takes five times as long."""

State = tuple[dict[int, tuple[Any, ...]], tuple[Any, ...]]
"""Annotations by their ids, and the draft."""


@once
def prepared() -> Path:
    """A session with two prewarmed pictures, to copy: making one takes longer than a run."""
    folder = Path(tempfile.mkdtemp()) / "session"
    with patch.object(samnb.session, "load_model", lambda *arguments, **options: NumpyModel()), Session(folder) as made:
        made.add([scene([(20, 20, 40, RED), (100, 90, 40, GREEN)]), scene([(90, 20, 40, RED)])], show=False)
        made.prewarm(show=False).wait()
        for name in ("coin", "key", "nut"):
            made.add_category(name)
    return folder


ROWS = "SELECT id, category, rle, layer, score, prompt, review, source FROM annotations WHERE image_id = ? ORDER BY id"


@lru_cache(maxsize=1000)
def mask_bytes(rle: str) -> bytes:
    return decode_rle(json.loads(rle)).tobytes()


class HistoryMachine(Machine):
    """`timelines` are the states of each image, one more than steps, and `now` is where in it the image is."""

    @initialize()
    def start(self) -> None:
        self.folder = new_folder() / "session"
        shutil.copytree(prepared(), self.folder)
        with patch.object(samnb.session, "load_model", lambda *arguments, **options: NumpyModel()):
            self.session = Session(self.folder)
        self.database = sqlite3.connect(self.folder / "catalog.db")
        self.images = self.session.images()
        self.annotator = Annotator(self.session)
        self.annotator.wait()
        self.timelines: list[list[State]] = [[({}, self.draft())] for _ in self.images]
        self.now = [0, 0]
        self.shown, self.opened = 0, 1

    def teardown(self) -> None:
        if hasattr(self, "session"):
            self.annotator.close()
            self.session.close()
            self.database.close()
            shutil.rmtree(self.folder.parent, ignore_errors=True)

    # -- what is there -----------------------------------------------------------------------------

    def objects(self, image: int) -> dict[int, tuple[Any, ...]]:
        """From the catalog's rows: asking the session takes ten times as long, and each step asks three times."""
        rows = self.database.execute(ROWS, (self.images[image].id,))
        return {
            id: (category, mask_bytes(rle), layer, round(score, 6), *rest)
            for id, category, rle, layer, score, *rest in rows
        }

    def draft(self) -> tuple[Any, ...]:
        draft = self.annotator._editor.draft
        return (draft.prompt, draft.added, draft.removed, draft.drawn, draft.replaces, draft.ring)

    @property
    def state(self) -> State:
        return self.timelines[self.shown][self.now[self.shown]]

    @property
    def ids(self) -> list[int]:
        return sorted(self.state[0])

    def step(self, objects: dict[int, tuple[Any, ...]] | None = None) -> State:
        """After an action: what is there is the next state, if it is another one; `objects` is what must be there."""
        self.annotator.wait()
        assert not self.annotator.error
        now = (self.objects(self.shown), self.draft())
        if objects is not None:
            assert now[0] == objects
        if now != self.state:
            timeline, at = self.timelines[self.shown], self.now[self.shown]
            timeline[at + 1 :] = [now]
            self.now[self.shown] += 1
        return now

    # -- drafts ------------------------------------------------------------------------------------

    @rule(x=places, y=places, background=st.booleans())
    def click(self, x: int, y: int, background: bool) -> None:
        self.annotator.click(x, y, background)
        self.step(self.state[0])

    @rule(x=places, y=places, size=st.integers(8, 60))
    def drag_a_box(self, x: int, y: int, size: int) -> None:
        self.annotator.drag_box(x, y, min(159, x + size), min(159, y + size))
        self.step(self.state[0])

    @rule(x=places, y=places, erase=st.booleans())
    def paint(self, x: int, y: int, erase: bool) -> None:
        """On the draft; without one, on the annotation that was selected last."""
        before, selected = self.state[0], self.annotator.selected
        points = [(x, y), (min(159, x + 12), y)]
        self.annotator.stroke(points, erase)
        if self.annotator._editor.draft or selected is None:
            self.step(before)
            return
        touched = stroke_mask((160, 160), points, self.annotator.brush_radius)
        was = np.frombuffer(before[selected][1], bool).reshape(160, 160)
        painted = was & ~touched if erase else was | touched
        if not painted.any():
            assert "Delete it instead" in self.annotator.error
            assert self.objects(self.shown) == before
            return
        after, _ = self.step()
        assert after[selected][:2] == (before[selected][0], painted.tobytes())
        assert {**after, selected: before[selected]} == before

    @rule()
    def clear(self) -> None:
        self.annotator.clear()
        assert not self.annotator._editor.draft
        self.step(self.state[0])

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(self.ids))
        self.annotator.edit(id)
        assert self.annotator._editor.draft.replaces == id
        self.step(self.state[0])

    # -- objects -----------------------------------------------------------------------------------

    @precondition(lambda self: self.annotator._editor.draft)
    @rule(category=names)
    def accept(self, category: str) -> None:
        before, replaced = self.state[0], self.annotator._editor.draft.replaces
        mask = self.annotator.mask
        if mask is None or not mask.any():
            return
        self.annotator.accept(category)
        after, draft = self.step()
        new = {id: each for id, each in after.items() if before.get(id) != each}
        assert not draft[0]
        assert not any(draft[1:])
        assert set(before) <= set(after)
        if replaced in before:
            assert set(after) == set(before)
            assert set(new) <= {replaced}
        else:
            assert len(new) == len(after) - len(before) == 1
        for made in new.values():
            assert made[:2] == (category, mask.tobytes())

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(self.ids))
        self.annotator.remove(id)
        self.step({other: each for other, each in self.state[0].items() if other != id})

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), category=names)
    def relabel(self, data: st.DataObject, category: str) -> None:
        chosen = data.draw(st.sets(st.sampled_from(self.ids), min_size=1))
        self.annotator.select(None)
        for id in sorted(chosen):
            self.annotator.select_more(id)
        self.annotator.set_category_of_selected(category)
        self.step({id: (category, *each[1:]) if id in chosen else each for id, each in self.state[0].items()})

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), up=st.booleans())
    def reorder(self, data: st.DataObject, up: bool) -> None:
        id = data.draw(st.sampled_from(self.ids))
        (self.annotator.raise_ if up else self.annotator.lower)(id)
        after, _ = self.step()
        layers = {other: each[2] for other, each in after.items()}
        assert layers[id] == (max if up else min)(layers.values())
        same = [(other, each) for other, each in self.state[0].items() if other != id]
        assert same == [(other, each) for other, each in after.items() if other != id]

    @precondition(lambda self: 0 < len(self.ids) < MOST and not self.annotator._editor.draft)
    @rule(data=st.data(), how=st.sampled_from(["duplicate_selected", "merge_selected"]))
    def copy_or_merge(self, data: st.DataObject, how: str) -> None:
        before = self.state[0]
        chosen = sorted(data.draw(st.sets(st.sampled_from(self.ids), min_size=1, max_size=3)))
        self.annotator.select(None)
        for id in chosen:
            self.annotator.select_more(id)
        getattr(self.annotator, how)()
        after, _ = self.step()
        if how == "duplicate_selected":
            copies = [each[:2] for id, each in after.items() if id not in before]
            assert sorted(copies) == sorted(before[id][:2] for id in chosen)
        else:
            joined = np.logical_or.reduce([np.frombuffer(before[id][1], bool) for id in chosen])
            assert after[chosen[0]][1] == joined.tobytes()
            assert set(before) - set(after) == set(chosen[1:])

    # -- undo, redo ----------------------------------------------------------------------------------

    @rule(steps=st.integers(1, 5), back=st.booleans())
    def move(self, steps: int, back: bool) -> None:
        for _ in range(steps):
            (self.annotator.undo if back else self.annotator.redo)()
            last = len(self.timelines[self.shown]) - 1
            self.now[self.shown] = min(last, max(0, self.now[self.shown] + (-1 if back else 1)))
            self.annotator.wait()
            assert not self.annotator.error
            assert (self.objects(self.shown), self.draft()) == self.state

    # -- around it -----------------------------------------------------------------------------------

    @rule(image=which)
    def show(self, image: int) -> None:
        self.annotator.show(self.images[image])
        self.annotator.wait()
        self.shown = image

    @precondition(lambda self: self.opened < 3)
    @rule()
    def open_another(self) -> None:
        """Two in each sequence: one takes as long as fifty other steps."""
        self.opened += 1
        self.annotator.close()
        self.annotator = Annotator(self.session, image=self.images[self.shown])
        self.annotator.wait()

    @precondition(lambda self: len(self.ids) < MOST)
    @rule(image=which, category=names)
    def somebody_adds(self, image: int, category: str) -> None:
        """By code in the notebook: no undo or redo touches it."""
        mask = np.zeros((160, 160), bool)
        mask[150:155, 1:9] = True
        added = self.session.accept_mask(self.images[image], mask, category=category)
        self.annotator.wait()
        for objects, _ in self.timelines[image]:
            objects[added.id] = self.objects(image)[added.id]

    @rule(old=names)
    def rename_and_back(self, old: str) -> None:
        """What was labelled under the old name, undone or not, has the new one; here it is renamed twice."""
        self.session.rename_category(old, "other")
        self.annotator.wait()
        self.session.rename_category("other", old)
        self.annotator.wait()

    # -- always ------------------------------------------------------------------------------------

    @invariant()
    def all_of_it_is_there(self) -> None:
        if hasattr(self, "annotator"):
            for image, timeline in enumerate(self.timelines):
                assert self.objects(image) == timeline[self.now[image]][0]
            assert {a.id for a in self.annotator.annotations} == set(self.state[0])
            assert self.draft() == self.state[1]


class TestHistoryMachine(HistoryMachine.TestCase):
    settings = machine(66)

    def runTest(self) -> None:
        in_turn = {name: getattr(InTurn, name) for name in ("busy", "submit", "wait")}
        not_drawn = {name: lambda *_, **__: None for name in ("draw_annotations", "draw_draft", "draw_header")}
        with ExitStack() as stack:
            stack.enter_context(patch.object(change_follower, "PAUSE", 0))
            if not SOAK:
                stack.enter_context(patch.multiple(LatestOnlyWorker, **in_turn))
                stack.enter_context(patch.multiple(Renderer, **not_drawn))
            super().runTest()
        HistoryMachine.made_enough()
