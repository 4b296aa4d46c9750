"""What the examples of docstrings begin with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from _pytest.doctest import DoctestItem

WITH_A_SESSION = (
    "samnb.session_methods.",
    "samnb.ui.annotator.annotator",
    "samnb.ui.review.duplicate_review",
    "samnb.ui.review.template_review",
    "samnb.ui.tuner.tuner",
    "samnb.ui.upload",
    "samnb.widgets",
)


@pytest.fixture(autouse=True)
def _example(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> Iterator[None]:
    """Examples of `Session`'s methods and widgets, and of `EmbeddingCache`'s methods, go on from that of the class."""
    module = request.node.dtest.globs["__name__"] if isinstance(request.node, DoctestItem) else ""
    if module.startswith(WITH_A_SESSION):
        doctest_namespace.update(request.getfixturevalue("session_of_examples"))
    if module in ("samnb.cache", "samnb.store.maintenance", "samnb.store.parts", "samnb.store.raw_entries"):
        doctest_namespace.update(request.getfixturevalue("cache_of_examples"))
    yield
    doctest_namespace.clear()  # one for all examples of a run


@pytest.fixture
def session_of_examples(folder_of_examples: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """`folder`, `session` and `coin`, as in the example of `samnb.Session`; each example may change them."""
    import numpy as np

    import samnb

    shutil.copytree(folder_of_examples / "kept", tmp_path / "pictures")
    shutil.copytree(folder_of_examples / "session", tmp_path / "session")
    with samnb.Session(tmp_path / "session") as session:
        session.relocate(tmp_path / "pictures")
        [coin] = session.annotations()
        yield {"folder": tmp_path, "session": session, "coin": coin, "samnb": samnb, "np": np}


@pytest.fixture(scope="session")
def folder_of_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import samnb
    from samnb.demo import demo_pictures

    folder = tmp_path_factory.mktemp("examples")
    demo_pictures(folder / "pictures")
    with samnb.Session(folder / "session") as session:
        session.add(folder / "pictures" / "monday", dataset="monday", show=False)
        session.accept(session.predict("coins_1.png", points=[(102, 106)]), category="coin")
    (folder / "pictures").rename(folder / "kept")  # so that the session of each example finds its own copies
    return folder


@pytest.fixture
def cache_of_examples(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """`folder`, `cache`, `key` and `embedding`, as in the example of `samnb.EmbeddingCache`."""
    import numpy as np

    from samnb.cache import EmbeddingCache, make_key
    from samnb.prompts import Embedding

    key = make_key("pixels", "weights", "recipe")
    embedding = Embedding({"image_embedding": np.ones((256, 4, 4), np.float32)}, (60, 80), (768, 1024))
    with closing(EmbeddingCache(tmp_path / "cache")) as cache:
        cache.put(key, embedding, about={"pixel_hash": "pixels", "model": "tiny"})
        yield {"folder": tmp_path, "cache": cache, "key": key, "embedding": embedding, "np": np}
