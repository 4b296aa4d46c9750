"""No callback of the annotator keeps the kernel for longer than a decode, however slow the model is."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import time
from contextlib import contextmanager

import numpy as np
import pytest

import samnb
from samnb.prompts import Embedding, Prediction
from samnb.ui.annotator.gestures import Click, DoubleClick, Hover, HoverEnd, PointDrag, Stroke
from samnb.widgets import Annotator
from tests.support.machines import new_folder
from tests.support.own_loop import in_own_loop
from tests.support.waiting import Stopwatch

DECODE, ENCODE = 0.5, 1.5


@pytest.fixture
def session():
    """A real session, in memory, since a disk may be busy with other work, with a model that is slow at everything."""
    # A prewarm imports it in its thread, where loading the libraries holds the GIL for 0.2 s once, and for 1 s where
    # fifteen others want the processors: nothing that a callback of the annotator could leave out.
    importlib.import_module("torch")
    folder = new_folder()
    session = samnb.Session(folder / "session")
    pictures = [np.full((120, 160, 3), shade, np.uint8) for shade in (10, 60, 110, 160)]
    session.add(pictures, dataset="monday")

    def encode(pixels):
        time.sleep(ENCODE)
        return Embedding({"image_embedding": np.zeros((4, 4, 4), np.float32)}, pixels.shape[:2], pixels.shape[:2])

    def decode(embedding, prompt, *, multimask=True, mask_input=None):
        time.sleep(DECODE)
        height, width = embedding.original_size
        x, y = prompt.points[0] if prompt.points else prompt.box[:2]
        rows, columns = np.mgrid[:height, :width]
        masks = np.stack([np.hypot(columns - x, rows - y) < radius for radius in (10, 20, 40)])
        return Prediction(masks, np.array([0.8, 0.9, 0.4], np.float32), np.zeros((3, 4, 4), np.float32), prompt)

    session.model.encode, session.model.decode = encode, decode
    yield session
    session.close()
    shutil.rmtree(folder, ignore_errors=True)


class Watchdog:
    """Notes how long each callback keeps the thread that calls it."""

    def __init__(self):
        self.took = {}

    @contextmanager
    def over(self, what):
        watch = Stopwatch()
        yield
        self.took[what] = max(self.took.get(what, 0.0), watch.seconds)


async def watched_loop(dog, ended):
    """The kernel's loop: what is longer than a tick was held up by a callback or an answer."""
    while not ended.is_set():
        watch = Stopwatch()
        await asyncio.sleep(0.01)
        dog.took["the loop"] = max(dog.took.get("the loop", 0.0), watch.seconds - 0.01)


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
    yield "a second annotator", lambda: Annotator(annotator.session)


@pytest.mark.parametrize("prewarming", [False, True], ids=["alone", "beside a prewarm"])
def test_no_callback_keeps_the_kernel_for_longer_than_a_decode(session, prewarming):
    async def kernel():
        dog, ended = Watchdog(), asyncio.Event()
        ticking = asyncio.create_task(watched_loop(dog, ended))
        job = session.prewarm(show=False) if prewarming else None
        with dog.over("the first annotator"):
            annotator = Annotator(session)
        for what, act in acts(annotator):
            if act is None:
                deadline = time.monotonic() + 60
                while not annotator._editor.is_ready:
                    assert time.monotonic() < deadline, f"no mask: {annotator.error}"
                    await asyncio.sleep(0.02)
                continue
            with dog.over(what):
                act()
            await asyncio.sleep(0)
        while annotator._editor.worker.busy or annotator._editor._encoding_worker.busy:
            await asyncio.sleep(0.02)
        ended.set()
        await ticking
        if job is not None:
            job.cancel()
        annotator.close()
        return dog.took, annotator.error

    took, error = in_own_loop(kernel())
    assert error == ""
    slow = {what: f"{seconds:.2f} s" for what, seconds in took.items() if seconds >= DECODE}
    assert slow == {}


def test_a_click_beside_a_prewarm_is_answered_within_about_a_decode(session):
    image, *_ = session.images("monday")
    session.embedding(image)
    annotator = Annotator(session, image=image)
    job = session.prewarm(show=False)
    watch = Stopwatch()
    annotator.click(60, 40)
    annotator.wait()
    took = watch.seconds
    job.cancel()
    annotator.close()
    assert annotator.prediction is not None
    assert took < DECODE + 1
