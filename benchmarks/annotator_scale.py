"""How long the annotator takes with 10,000 images in its filmstrip and with 2,000 annotations on one image.

    python -m benchmarks.annotator_scale [--images 10000] [--annotations 2000] [--rounds 9] [--json F]

Without a browser: the time of each call until the kernel is free again, and what it sends to the page (messages,
kilobytes), which is what a page has to work off. The model is one that answers at once: decoding is measured elsewhere.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from json import dumps
from pathlib import Path
from statistics import median

import ipywidgets
import numpy as np
from PIL import Image

from samnb.annotations.annotation import Annotation
from samnb.masks import encode_rle, mask_area, mask_bbox
from samnb.prompts import Embedding, Prediction, Prompt
from samnb.records import NewAnnotation
from samnb.session import Session
from samnb.widgets import Annotator

RESULTS = Path(__file__).parent / "results" / "annotator_scale.json"
SIDE = (1024, 768)


class Wire:
    """Counts what widgets send; there is no page that listens."""

    def __init__(self) -> None:
        self.messages = self.bytes = 0
        send = ipywidgets.Widget._send

        def counted(widget: ipywidgets.Widget, message: object, buffers: list | None = None) -> None:
            self.messages += 1
            self.bytes += len(str(message)) + sum(len(buffer) for buffer in buffers or ())
            send(widget, message, buffers)

        ipywidgets.Widget._send = counted

    def taken(self) -> tuple[int, float]:
        """Messages and kilobytes since the last time."""
        seen = self.messages, self.bytes / 1000
        self.messages = self.bytes = 0
        return seen


def fake_model(session: Session) -> None:
    """Discs round the first point, at once."""
    rows, columns = np.mgrid[: SIDE[1], : SIDE[0]]

    def encode(pixels: np.ndarray) -> Embedding:
        return Embedding({"image_embedding": np.zeros((4, 4, 4), np.float32)}, pixels.shape[:2], pixels.shape[:2])

    def decode(embedding: Embedding, prompt: Prompt, **_: object) -> Prediction:
        height, width = embedding.original_size
        x, y = prompt.points[0]
        distance = np.hypot(columns[:height, :width] - x, rows[:height, :width] - y)
        masks = np.stack([distance < 15, distance < 30, distance < 60])
        return Prediction(masks, np.array([0.9, 0.8, 0.4], np.float32), np.zeros((3, 4, 4), np.float32), prompt)

    session.model.encode, session.model.decode = encode, decode


def make_session(folder: Path, images: int, annotations: int) -> Session:
    """So many small images, and one that is larger and full of annotations."""
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    coarse.resize(SIDE, Image.Resampling.BICUBIC).save(photos / "000000-full.jpg")
    for number in range(1, images):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        coarse.resize((160, 120), Image.Resampling.BICUBIC).save(photos / f"{number:06}.jpg")
    session = Session(folder / "session")
    session.add(photos, dataset="many", show=False)
    fake_model(session)
    full = session.image("000000-full.jpg")
    rows, columns = np.mgrid[: SIDE[1], : SIDE[0]]
    new = []
    for number in range(annotations):
        x, y = 20 + (number * 37) % (SIDE[0] - 40), 20 + (number * 53) % (SIDE[1] - 40)
        mask = (np.hypot(columns - x, rows - y) < 12) & ((columns + rows) % 97 != 0)
        values = {"rle": encode_rle(mask), "bbox": mask_bbox(mask), "area": mask_area(mask)}
        new.append(NewAnnotation(full.id, f"kind {number % 12}", **values))
    session.catalog.add_annotations(new)
    return session


def main(images: int, annotations: int, rounds: int, json: Path) -> None:
    """Print both tables, and keep them."""
    load = os.getloadavg()[0]
    wire = Wire()
    with tempfile.TemporaryDirectory() as place:
        session = make_session(Path(place), images, annotations)
        times: dict[str, list[tuple[float, int, float]]] = {}

        def measure(name: str, act: Callable[[], object]) -> None:
            wire.taken()
            started = time.perf_counter()
            act()
            seconds = time.perf_counter() - started
            times.setdefault(name, []).append((1000 * seconds, *wire.taken()))

        annotator = walk_through_images(session, images, rounds, measure)
        edit_annotations(annotator, rounds, measure)
        annotator.close()
        session.close()
    print(f"{images:,} images, {annotations:,} annotations on one of {SIDE[0]} × {SIDE[1]} pixels")
    print(f"{'':44s}{'median':>10s}{'worst':>10s}{'messages':>10s}{'kB':>9s}")
    kept: dict[str, object] = {"images": images, "annotations": annotations, "cores": os.cpu_count()}
    kept["load"] = [round(load, 1), round(os.getloadavg()[0], 1)]
    for name, rows in times.items():
        milliseconds = [row[0] for row in rows]
        messages, kilobytes = median(row[1] for row in rows), median(row[2] for row in rows)
        figures = {"median_ms": median(milliseconds), "worst_ms": max(milliseconds), "kB": kilobytes}
        kept[name] = {"messages": messages, **{key: round(value, 1) for key, value in figures.items()}}
        print(f"{name:44s}{median(milliseconds):8.0f} ms{max(milliseconds):7.0f} ms{messages:10.0f}{kilobytes:9.1f}")
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_text(dumps(kept, indent=1) + "\n")


def walk_through_images(session: Session, images: int, rounds: int, measure: Callable) -> Annotator:
    """What a hand does with the filmstrip."""
    made: list[Annotator] = []
    measure("open on the second image", lambda: made.append(Annotator(session, image="000001.jpg")))
    annotator, strip = made[0], made[0]._layout.strip
    measure("its thumbnails are there", strip.thumbnails.wait)
    for number in range(rounds):
        measure("next image", annotator.next)
        measure("wheel: two cells on", lambda: strip.scroll(2))
        measure("slider: somewhere else", lambda n=number: strip._scroll_to((n * 7919) % images))
        measure("the thumbnails of a new window", strip.thumbnails.wait)
        measure("jump by part of a name", lambda n=number: annotator.jump(f"{(n * 6271) % images:06}"))
        measure("next without annotations", annotator.next_open)
        measure("filter: open", lambda: annotator.filter("open"))
        measure("next image, filtered", annotator.next)
        measure("filter: all", lambda: annotator.filter("all"))
    return annotator


def edit_annotations(annotator: Annotator, rounds: int, measure: Callable) -> None:
    """What a hand does on a crowded image."""
    measure("show the crowded image, first time", lambda: annotator.show("000000-full.jpg"))
    annotator.next()
    measure("show the crowded image again", lambda: annotator.show("000000-full.jpg"))
    kept: list[Annotation] = annotator.session.annotations(image="000000-full.jpg")
    for number in range(rounds):
        one = kept[number * 97 % len(kept)]
        measure("select an annotation", lambda one=one: annotator.select(one.id))
        measure("another category", lambda one=one: annotator.set_category_of(one.id, "kind 3"))
        measure("over its neighbours", lambda one=one: annotator.raise_(one.id))
        measure("turn the list by 40", lambda: annotator._layout._list.turn(+1))
        measure("let go", lambda: annotator.select(None))
        measure("click, and its mask", lambda n=number: (annotator.click(100 + 30 * n, 300), annotator.wait()))
        measure("accept", annotator.accept)
        measure("undo", annotator.undo)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--annotations", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, default=RESULTS)
    main(**vars(parser.parse_args()))
