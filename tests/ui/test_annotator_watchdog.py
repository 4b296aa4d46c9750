"""No callback of the annotator waits for the model, however slow it is: the kernel's loop turns meanwhile."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import threading

import numpy as np
import pytest

import samnb
from samnb.prompts import Embedding, Prediction
from samnb.ui.annotator.gestures import Click, DoubleClick, Hover, HoverEnd, PointDrag, Stroke
from samnb.widgets import Annotator
from tests.support.machines import new_folder
from tests.support.own_loop import in_own_loop
from tests.support.waiting import wait_until

DECODE, ENCODE = 20, 60  # turns of the kernel's loop


class Turns:
    """Counts turns of a loop. What the model does ends after so many: a callback that waits for it would see no end."""

    def __init__(self):
        self.count, self.ended, self.waited_for = 0, threading.Event(), []

    async def go_on(self):
        while not self.ended.is_set():
            self.count += 1
            await asyncio.sleep(0.01)

    def last(self, turns, what):
        until = self.count + turns
        try:
            wait_until(what, lambda: self.count >= until or self.ended.is_set(), every=0.005)
        except AssertionError:
            self.waited_for.append(what)
            raise


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def session(turns):
    """A real session, in memory, since a disk may be busy with other work, with a model that is slow at everything."""
    importlib.import_module("torch")
    folder = new_folder()
    session = samnb.Session(folder / "session")
    pictures = [np.full((120, 160, 3), shade, np.uint8) for shade in (10, 60, 110, 160)]
    session.add(pictures, dataset="monday")

    def encode(pixels):
        turns.last(ENCODE, "an image is encoded")
        return Embedding({"image_embedding": np.zeros((4, 4, 4), np.float32)}, pixels.shape[:2], pixels.shape[:2])

    def decode(embedding, prompt, *, multimask=True, mask_input=None):
        turns.last(DECODE, "a mask is decoded")
        height, width = embedding.original_size
        x, y = prompt.points[0] if prompt.points else prompt.box[:2]
        rows, columns = np.mgrid[:height, :width]
        masks = np.stack([np.hypot(columns - x, rows - y) < radius for radius in (10, 20, 40)])
        return Prediction(masks, np.array([0.8, 0.9, 0.4], np.float32), np.zeros((3, 4, 4), np.float32), prompt)

    session.model.encode, session.model.decode = encode, decode
    yield session
    turns.ended.set()
    session.close()
    shutil.rmtree(folder, ignore_errors=True)


def acts(annotator):
    """One of everything, in an order in which it means something."""
    yield "click", lambda: annotator.gesture(Click(60, 40))
    yield "accept, not ready", annotator.accept
    yield "next, not ready", annotator.next
    yield "clear", annotator.clear
    yield "click again", lambda: annotator.gesture(Click(61, 40))
    yield "click on top", lambda: annotator.gesture(Click(70, 40, background=True))
    yield "undo", annotator.undo
    yield "redo", annotator.redo
    yield "drag a point", lambda: annotator.gesture(PointDrag(0, 63, 41, done=False))
    yield "drop a point", lambda: annotator.gesture(PointDrag(0, 63, 41, done=True))
    yield "brush", lambda: annotator.take_tool("brush")
    yield "stroke so far", lambda: annotator.gesture(Stroke(((5, 5), (90, 90)), done=False))
    yield "stroke", lambda: annotator.gesture(Stroke(((5, 5), (90, 90)), done=True))
    yield "prompt", lambda: annotator.take_tool("prompt")
    yield "wait", None
    yield "choose", lambda: annotator.choose(2)
    yield "smooth", annotator.smooth
    yield "fill holes", annotator.fill_holes
    yield "accept", annotator.accept
    yield "hover on", annotator.toggle_hover
    yield "hover", lambda: annotator.gesture(Hover(20, 20))
    yield "hover end", lambda: annotator.gesture(HoverEnd())
    yield "double click", lambda: annotator.gesture(DoubleClick(63, 41))
    yield "clear the edit", annotator.clear
    yield "next", annotator.next
    yield "click while it is encoded", lambda: annotator.gesture(Click(10, 10))
    yield "next again", annotator.next
    yield "hover while it is encoded", lambda: annotator.gesture(Hover(20, 20))
    yield "box", lambda: annotator.drag_box(10, 10, 50, 50)
    yield "jump", lambda: annotator.jump(annotator._image_list.images[0].filename)
    yield "remove", lambda: annotator.remove(annotator.annotations[0].id)
    yield "undo the remove", annotator.undo
    yield "a second annotator", lambda: Annotator(annotator.session).close()


@pytest.mark.parametrize("prewarming", [False, True], ids=["alone", "beside a prewarm"])
def test_no_callback_waits_for_the_model(session, turns, prewarming):
    async def kernel():
        turning = asyncio.create_task(turns.go_on())
        job = session.prewarm(show=False) if prewarming else None
        annotator = Annotator(session)
        did = []
        for what, act in acts(annotator):
            if act is None:
                while not annotator._editor.is_ready:
                    assert annotator.error == ""
                    await asyncio.sleep(0.02)
                continue
            act()
            did.append(what)
            await asyncio.sleep(0)
        while annotator._editor.worker.busy or annotator._editor._encoding_worker.busy:
            await asyncio.sleep(0.02)
        turns.ended.set()
        await turning
        if job is not None:
            job.cancel()
        annotator.close()
        return did, annotator.error

    did, error = in_own_loop(kernel())
    assert error == ""
    assert turns.waited_for == []
    assert len(did) > 20


def test_a_click_beside_a_prewarm_is_answered_while_an_image_is_encoded(session, turns):
    image, *_ = session.images("monday")
    turns.ended.set()
    session.embedding(image)
    turns.ended.clear()
    encoded, decode = threading.Event(), session.model.decode
    encode = session.model.encode
    session.model.encode = lambda pixels: (encoded.wait(300), encode(pixels))[1]
    session.model.decode = lambda *args, **options: (turns.ended.set(), decode(*args, **options))[1]
    annotator = Annotator(session, image=image)
    job = session.prewarm(show=False)
    annotator.click(60, 40)
    annotator.wait()
    assert annotator.prediction is not None
    assert job.state == "running"
    encoded.set()
    job.cancel()
    job.wait(300)
    annotator.close()
