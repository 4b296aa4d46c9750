"""What a newer samnb wrote: read where that can be, else refused with the version and what to do; never changed.

Catalogs have a file of their own, tests/catalog/test_newer_schema.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from samnb import cache_archive
from samnb.cache import EmbeddingCache
from samnb.errors import ImageUnreadable, RecipeError, TemplateError
from samnb.images.lazy.view_files import read_view
from samnb.replay.recipe import Recipe
from samnb.store import entry
from samnb.templates import Template
from tests.support.embeddings import KEY, some

DATA = Path(__file__).parents[1] / "data"


def newer_entry() -> bytes:
    raw = bytearray(entry.serialize(KEY, some(), dtype="float16", metadata={}))
    field = b'"schema":"%d"' % entry.SCHEMA
    assert raw.count(field) == 1
    raw = raw.replace(field, b'"schema":"%d"' % (entry.SCHEMA + 1))
    raw[entry._digits_at()] = entry._digest(raw)
    return bytes(raw)


def test_an_entry_is_a_miss_and_stays_where_others_can_read_it(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, memory_bytes=0)
    path = cache.path_of(KEY)
    path.parent.mkdir(parents=True)
    content = newer_entry()
    path.write_bytes(content)
    assert cache.get(KEY) is None
    report = cache.check(fix=True)
    assert (report.entries, report.damaged, report.quarantined) == (1, (), 0)
    assert path.read_bytes() == content


def test_an_archive_says_why_its_entries_are_not_taken(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "from", memory_bytes=0)
    cache.path_of(KEY).parent.mkdir(parents=True)
    cache.path_of(KEY).write_bytes(newer_entry())
    report = cache_archive.export_entries(cache, tmp_path / "all.tar")
    [(_, reason)] = report.rejected
    assert reason == "written by a newer samnb (schema 2, this one knows 1): upgrade with `pip install -U samnb`"


def changed(path: Path, source: Path, **values: Any) -> Path:
    path.write_text(json.dumps(json.loads(source.read_text()) | values))
    return path


def test_a_template_says_to_upgrade(tmp_path: Path) -> None:
    file = changed(tmp_path / "a.json", DATA / "written_by_0_1" / "discs.template.json", template=99)
    with pytest.raises(TemplateError, match=r"a\.json: a template of format 99; this samnb reads 1\. Update samnb"):
        Template.load(file)


def test_a_recipe_says_who_wrote_it_and_to_upgrade(tmp_path: Path) -> None:
    file = changed(
        tmp_path / "a.json", DATA / "written_by_0_1" / "recipe.json", samnb_recipe=99, made_with={"samnb": "9.9"}
    )
    with pytest.raises(RecipeError, match=r"version 1; got version 99\. It was written by samnb 9\.9, .* Update samnb"):
        Recipe.read(file)


def test_a_view_file_says_that_it_is_newer(tmp_path: Path) -> None:
    [view, *_] = sorted((DATA / "written_by_0_2" / "session" / "images").rglob("*]"))
    with pytest.raises(ImageUnreadable, match="version 99 of a newer samnb"):
        read_view(changed(tmp_path / view.name, view, version=99))
