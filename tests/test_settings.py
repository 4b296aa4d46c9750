"""The environment variables: how they are read, what they say when they cannot be, and their one table."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import samnb
from samnb import cli, settings
from samnb.errors import SettingError
from samnb.settings import SETTINGS, Share, cache_options, markdown_table, parse_seconds, parse_size, setting

PACKAGE = Path(samnb.__file__).parent
TABLE = PACKAGE.parent / "docs" / "settings.md"
NAMES = {setting.name for setting in SETTINGS}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("50GB", 50 * 10**9),
        ("50 gb", 50 * 10**9),
        ("50G", 50 * 10**9),
        ("1.5GiB", 3 << 29),
        (".5kib", 512),
        ("2TiB", 2 << 40),
        ("7B", 7),
        ("20%", Share(0.2)),
        ("100 %", Share(1.0)),
    ],
)
def test_sizes(text: str, size: object) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "5 apples", "101%", "1,5GB", "5 G B", "5EB", "nan", "٣x"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="50GB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("45", 45), ("45s", 45), ("1.5h", 5400), ("7D", 604800), ("2 w", 1209600)]
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["0", "-7d", "7x", "d", "7 months", "7%"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="7d"):
        parse_seconds(text)


def test_every_option_of_the_cache_can_come_from_the_environment(tmp_path: Path) -> None:
    environment = {
        "EMBED_CACHE_MAX": " 500 ",
        "SAMNB_CACHE_MEMORY_BYTES": "2GiB",
        "SAMNB_CACHE_DISK_BYTES": "50GB",
        "SAMNB_CACHE_MIN_FREE_BYTES": "0",
        "SAMNB_CACHE_TTL": "7d",
        "SAMNB_CACHE_DTYPE": "int8",
        "SAMNB_CACHE_REMOTE": "redis://cache:6379/0, s3://lab/embeddings ,/mnt/lab",
        "DATABASE_URL": "sqlite://",
    }
    assert cache_options(tmp_path, environment) == {
        "max_entries": 500,
        "memory_bytes": 2 << 30,
        "disk_bytes": 50 * 10**9,
        "min_free_bytes": 0,
        "ttl": 604800.0,
        "dtype": "int8",
        "remote": ["redis://cache:6379/0", "s3://lab/embeddings", "/mnt/lab"],
    }
    assert cache_options(tmp_path, {}) == {}
    assert cache_options(tmp_path, dict.fromkeys(NAMES, "  ")) == {}


def test_shares_are_of_the_disk_and_of_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        settings.shutil, "disk_usage", lambda path: asked.append(path) or type("U", (), {"total": 1000})
    )
    monkeypatch.setattr(settings, "_memory_bytes", lambda: 64)
    environment = {"SAMNB_CACHE_DISK_BYTES": "20%", "SAMNB_CACHE_MEMORY_BYTES": "25%"}
    options = cache_options(tmp_path / "not" / "yet", environment)
    assert options == {"disk_bytes": 200, "memory_bytes": 16}
    assert asked == [tmp_path]


def test_the_memory_of_the_machine_is_known() -> None:
    assert settings._memory_bytes() > 1 << 28


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("EMBED_CACHE_MAX", "many", "a whole number"),
        ("SAMNB_CACHE_DISK_BYTES", "50 apples", "50GB"),
        ("SAMNB_CACHE_TTL", "soon", "7d"),
        ("SAMNB_CACHE_DTYPE", "float8", "float16, float32 or int8"),
        ("SAMNB_CACHE_REMOTE", "cache:6379", "redis://host:6379/0"),
    ],
)
def test_an_error_names_the_variable_what_was_expected_and_what_came(name: str, text: str, expected: str) -> None:
    with pytest.raises(SettingError) as caught:
        setting(name, {name: text})
    assert str(caught.value).startswith(f"{name}: expected ")
    assert expected in str(caught.value)
    assert repr(text) in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_the_process_environment_is_read_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMBED_CACHE_MAX", raising=False)
    assert setting("EMBED_CACHE_MAX") is None
    monkeypatch.setenv("EMBED_CACHE_MAX", "7")
    assert (setting("EMBED_CACHE_MAX"), cache_options()["max_entries"]) == (7, 7)


@pytest.mark.parametrize(("text", "on"), [("0", False), ("No", False), ("off", False), ("1", True), ("yes", True)])
def test_switches(text: str, on: bool) -> None:
    assert setting("SAMNB_FAST_ATTENTION", {"SAMNB_FAST_ATTENTION": text}) is on


def test_samnb_settings_says_what_holds_and_from_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://lab:s3cret@db/samnb")
    monkeypatch.setenv("SAMNB_CACHE_REMOTE", "redis://:s3cret@cache:6379/0, s3://lab?secret=s3cret")
    monkeypatch.setenv("SAMNB_CACHE_TTL", "later")
    assert cli.main(["settings"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if line)
    assert lines["DATABASE_URL"] == "postgresql://lab:***@db/samnb  (environment)"
    assert lines["SAMNB_CACHE_REMOTE"] == "redis://:***@cache:6379/0,s3://lab?secret=***  (environment)"
    assert lines["SAMNB_CACHE_TTL"].startswith("later  (environment, not understood: expected a time")
    assert lines["EMBED_CACHE_MAX"] == "2000  (default)"
    assert set(lines) >= NAMES


def test_a_misspelt_remote_address_does_not_show_its_password() -> None:
    with pytest.raises(SettingError) as caught:
        setting("SAMNB_CACHE_REMOTE", {"SAMNB_CACHE_REMOTE": "redis://:s3cret@cache:6379/0,nonsense"})
    assert "s3cret" not in str(caught.value)


def test_the_table_in_the_documentation_is_the_one_of_the_code() -> None:
    assert markdown_table() in TABLE.read_text(encoding="utf-8"), "docs/settings.md: put markdown_table() there"


def test_every_variable_the_package_reads_is_in_the_table() -> None:
    named = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if text.startswith("SAMNB_") and text.isidentifier():
                named.add(text)
    assert named <= NAMES
    assert len(named) > 5


def test_defaults_and_examples_are_what_the_code_does(tmp_path: Path) -> None:
    for each in SETTINGS:
        assert setting(each.name, {each.name: each.example}) is not None
    assert setting("EMBED_CACHE_MAX", {"EMBED_CACHE_MAX": settings._BY_NAME["EMBED_CACHE_MAX"].default}) == 2000


@pytest.mark.parametrize("text", ["9" * 500, "1" + "0" * 400 + "GB"])
def test_a_size_without_end_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingError, match="SAMNB_CACHE_DISK_BYTES"):
        setting("SAMNB_CACHE_DISK_BYTES", {"SAMNB_CACHE_DISK_BYTES": text})


def test_bytes_that_are_no_text_are_refused_by_name() -> None:
    with pytest.raises(SettingError, match="SAMNB_CACHE_REMOTE"):
        setting("SAMNB_CACHE_REMOTE", {"SAMNB_CACHE_REMOTE": "a?ttl=\udcff"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SAMNB_CACHE_DISK_BYTES", "9" * 300 + "TB"),
        ("SAMNB_CACHE_TTL", "9" * 308 + "w"),
        ("EMBED_CACHE_MAX", "9" * 5000),
        ("SAMNB_BATCH", "9" * 5000),
    ],
)
def test_a_number_beyond_all_numbers_is_not_understood(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=f"{name}: expected a (size|time|whole number)"):
        setting(name, {name: text})
