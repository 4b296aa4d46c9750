"""`samnb cache …` in a terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samnb.cache import EmbeddingCache, make_key
from samnb.cli import main
from samnb.prompts import Embedding
from samnb.session import Session
from samnb.store.header import read_header


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A session of four images, three of them cached."""
    with Session(tmp_path / "coins") as session:
        session.add([np.full((20, 30, 3), value, np.uint8) for value in range(4)])
        for image in session.images()[:3]:
            task = session._encoder.task(image)
            small = Embedding({"image_embedding": np.zeros((4, 4, 4), np.float32)}, (20, 30), (20, 30))
            session.cache.put(task.key, small, about=task.metadata)
            session._encoder.find_cached([task])
    return tmp_path / "coins"


def cached(folder: Path) -> int:
    """What the catalog says, without a look at the store."""
    from samnb.catalog import Catalog

    with Catalog(folder / "catalog.db") as catalog:
        return sum(image.embedding_cached for image in catalog.images())


def test_stats_of_a_session_and_of_its_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (folder, folder / "embeddings"):
        assert main(["cache", "stats", str(place)]) == 0
        out = capsys.readouterr().out
        assert "3 embeddings" in out
        assert "tiny 3" in out


def test_verify_tells_and_repair_puts_right(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "verify", str(folder)]) == 0
    one, two, _ = sorted((folder / "embeddings").glob("??/??/*.safetensors"))
    one.write_bytes(one.read_bytes()[:-1])
    two.unlink()
    assert main(["cache", "verify", str(folder)]) == 1
    assert "checksum" in capsys.readouterr().out
    assert main(["cache", "repair", str(folder)]) == 0
    assert "(fixed)" in capsys.readouterr().out
    assert cached(folder) == 1
    assert main(["cache", "verify", str(folder)]) == 0


def test_gc_to_a_size(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "gc", str(folder)]) == 0
    assert cached(folder) == 3
    assert main(["cache", "gc", str(folder), "--to", "0"]) == 0
    assert "3 evicted" in capsys.readouterr().out
    assert cached(folder) == 0
    assert main(["cache", "gc", str(folder), "--to", "much"]) == 1
    assert main(["cache", "gc", str(folder), "--to", "20%"]) == 1
    assert "expected a size" in capsys.readouterr().err


def test_export_and_import_into_another_session(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "all.tar"
    assert main(["cache", "export", str(folder), str(archive)]) == 0
    main(["cache", "gc", str(folder), "--to", "0"])
    assert main(["cache", "import", str(folder), str(archive)]) == 0
    assert cached(folder) == 3
    assert main(["cache", "import", str(tmp_path / "new"), str(archive)]) == 0
    assert "3 added" in capsys.readouterr().out
    with Session(tmp_path / "new") as session:
        assert session.add([np.full((20, 30, 3), 2, np.uint8)]).duplicates_found == 1
    archive.write_bytes(archive.read_bytes()[:700])
    assert main(["cache", "import", str(tmp_path / "new"), str(archive)]) == 1


def test_a_folder_without_embeddings_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "stats", str(tmp_path)]) == 1
    assert "no embeddings there" in capsys.readouterr().err


def test_flags_are_those_of_any_model_where_none_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = EmbeddingCache(folder / "embeddings")
    for number, path in enumerate(sorted((folder / "embeddings").glob("??/??/*.safetensors"))):
        about = read_header(path)
        embedding = other.get(path.stem)
        assert embedding is not None
        other.remove(path.stem)
        other.put(
            make_key(f"{number}", "vit_x", "1"), embedding, about={"pixel_hash": about["pixel_hash"], "model": "vit_x"}
        )
    monkeypatch.setattr("samnb.session.load_model", lambda *args, **options: pytest.fail("a model was opened"))
    for command in ("verify", "repair", "gc"):
        assert main(["cache", command, str(folder)]) == 0
        assert cached(folder) == 3
    next((folder / "embeddings").glob("??/??/*.safetensors")).unlink()
    assert main(["cache", "verify", str(folder)]) == 1
    assert cached(folder) == 3
    assert main(["cache", "repair", str(folder)]) == 0
    assert cached(folder) == 2
    monkeypatch.undo()
    assert main(["cache", "verify", str(folder), "--model", "tiny"]) == 0
    assert cached(folder) == 0
