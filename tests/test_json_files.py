from __future__ import annotations

import re
from pathlib import Path

import pytest

import samnb
from samnb.json_files import TooLarge, parse_json, read_json


def test_a_mark_before_utf_8_is_no_content(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json") == [1]


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 100_000, "", "9" * 5000, "{", "\x00"])
def test_anything_else_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(text)


def test_a_file_is_read_to_its_limit_only(tmp_path):
    (tmp_path / "a.json").write_bytes(b" " * 100 + b"1")
    assert read_json(tmp_path / "a.json", limit=101) == 1
    with pytest.raises(TooLarge, match="limit of 100"):
        read_json(tmp_path / "a.json", limit=100)
    with pytest.raises(TooLarge):
        read_json(Path("/dev/zero"), limit=100)


def test_json_of_any_origin_comes_through_this_module():
    """The others read what samnb wrote itself: the catalog's columns, and entries of the store."""
    root = Path(samnb.__file__).parent
    direct = {
        file.relative_to(root).parts[0]
        for file in root.rglob("*.py")
        if re.search(r"\bjson\.loads?\(", file.read_text(encoding="utf-8"))
    }
    assert direct <= {"json_files.py", "catalog", "store"}
