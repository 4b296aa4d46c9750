"""The environment variables of samnb: meaning, allowed values and default of each.

Everything else is an argument; an argument overrides its variable. ``samnb settings`` prints the current values, and
``docs/settings.md`` has the table.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import SettingError
from .urls import redacted_url

__all__ = [
    "SETTINGS",
    "Setting",
    "Share",
    "cache_options",
    "markdown_table",
    "parse_seconds",
    "parse_size",
    "setting",
    "settings_text",
]

_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", start=1):
    _UNITS |= {f"{_letter}": 1000**_power, f"{_letter}B": 1000**_power, f"{_letter}IB": 1024**_power}
_SECONDS = {"": 1, "S": 1, "M": 60, "H": 3600, "D": 86400, "W": 7 * 86400}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z%]*)\s*")
_LONGEST = 18  # digits of a whole number
_NO = ("0", "false", "no", "off")


@dataclass(frozen=True)
class Share:
    """A part of something whose size is known later.

    >>> Share(0.2).of(50 * 10**9)
    10000000000
    """

    fraction: float

    def of(self, total: int) -> int:
        """That part of `total`, in bytes."""
        return int(self.fraction * total)


@dataclass(frozen=True)
class Setting:
    """One environment variable.

    Parameters
    ----------
    name : str
    meaning : str
        Its effect, in a sentence or two.
    example : str
        A value it could have.
    default : str
        The default, in words.
    parse : callable
        From the text to the value; ValueError with what was expected.
    option : str
        The argument with the same meaning: of ``Session(cache={...})`` unless named otherwise.
    secret : bool
        Whether the value may hold passwords.
    """

    name: str
    meaning: str
    example: str
    default: str
    parse: Callable[[str], Any]
    option: str = ""
    secret: bool = False

    @property
    def cache_option(self) -> str:
        """The name of the cache's argument, or ""."""
        return self.option if self.option.isidentifier() else ""


def parse_size(text: str) -> int | Share:
    """Bytes, or a share of the disk or memory they are taken from.

    Examples
    --------
    >>> parse_size("50GB"), parse_size("1.5 GiB"), parse_size("20%"), parse_size("4096")
    (50000000000, 1610612736, Share(fraction=0.2), 4096)
    """
    amount, unit = _amount(text)
    if unit == "%" and amount <= 100:
        return Share(amount / 100)
    if unit not in _UNITS or not math.isfinite(amount * _UNITS[unit]):
        raise ValueError("a size such as 50GB, 1.5GiB or 20%")
    return int(amount * _UNITS[unit])


def parse_seconds(text: str) -> float:
    """Seconds.

    >>> parse_seconds("7d"), parse_seconds("90 m"), parse_seconds("30")
    (604800.0, 5400.0, 30.0)
    """
    amount, unit = _amount(text)
    if unit not in _SECONDS or not 0 < amount * _SECONDS[unit] < math.inf:
        raise ValueError("a time above zero such as 7d, 12h, 30m or 45s")
    return amount * _SECONDS[unit]


def _amount(text: str) -> tuple[float, str]:
    match = _AMOUNT.fullmatch(text)
    amount = float(match[1]) if match else math.inf
    return (amount, match[2].upper()) if match and math.isfinite(amount) else (0.0, "?")


def _whole(text: str, least: int = 0) -> int:
    if not text.isdecimal() or len(text) > _LONGEST or int(text) < least:
        raise ValueError(f"a whole number from {least}")
    return int(text)


def _count(text: str) -> int:
    return _whole(text, 1)


def _bytes(text: str) -> int:
    size = parse_size(text)
    if not isinstance(size, int):
        raise ValueError("a size such as 2GB or 1.5GiB")
    return size


def _precision(text: str) -> str:
    if text not in ("float32", "float16", "bfloat16"):
        raise ValueError("float32, float16 or bfloat16")
    return text


def _dtype(text: str) -> str:
    if text not in ("float16", "float32", "int8"):
        raise ValueError("float16, float32 or int8")
    return text


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(filter(None, (part.strip() for part in text.split(","))))
    for url in urls:
        if "://" not in url and not url.startswith(("/", "~")):
            raise ValueError("addresses with commas between, such as redis://host:6379/0, s3://bucket/embeddings")
    return urls


def _on(text: str) -> bool:
    return text.lower() not in _NO


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "DATABASE_URL",
        "URL of the catalog, as in SQLAlchemy: a SQLite file, or a PostgreSQL "
        '(`postgresql+psycopg://user:password@host/name`, after `pip install "samnb[postgresql]"`).',
        "sqlite:///data/app.db",
        "`catalog.db` in the session folder",
        str,
        "Session(database_url=…)",
        secret=True,
    ),
    Setting(
        "SAMNB_NETWORK_CATALOG",
        "1 opens a SQLite catalog on a network file system, without the write-ahead log: slower, and for "
        "one process at a time.",
        "1",
        "such a catalog is refused",
        _on,
    ),
    Setting(
        "EMBED_CACHE_MAX",
        "Maximum number of embeddings in memory.",
        "5000",
        "2000",
        _whole,
        "max_entries",
    ),
    Setting(
        "DOWNSCALE_MAX",
        "Pictures with a longer side than this many pixels are read smaller before they are encoded; their masks keep "
        "the full size. Prewarms are faster and take less memory, and small objects lose detail. Each value has its "
        "own embeddings.",
        "1024",
        "all pictures are read at full size",
        _count,
    ),
    Setting(
        "SAMNB_TILED_ABOVE",
        "Images with more pixels than this are encoded tile by tile.",
        "50000000",
        "100,000,000",
        _count,
    ),
    Setting(
        "SAMNB_CACHE_MEMORY_BYTES",
        "Maximum memory of embeddings; a share is of the machine's memory.",
        "4GB",
        "512 MiB",
        parse_size,
        "memory_bytes",
    ),
    Setting(
        "SAMNB_CACHE_DISK_BYTES",
        "Maximum disk space of a session's embeddings; a share is of the whole disk.",
        "20%",
        "a fifth of what is free, at most 50 GB",
        parse_size,
        "disk_bytes",
    ),
    Setting(
        "SAMNB_CACHE_MIN_FREE_BYTES",
        "Disk space that stays free, whatever the budget; a share is of the whole disk.",
        "10GB",
        "2 GB, or 5 % of a small disk",
        parse_size,
        "min_free_bytes",
    ),
    Setting(
        "SAMNB_CACHE_TTL",
        "Lifetime of an embedding after its computation, here and in Redis. Embeddings do not become stale: use it "
        "only if data has to be deleted after a time.",
        "30d",
        "for ever",
        parse_seconds,
        "ttl",
    ),
    Setting(
        "SAMNB_CACHE_DTYPE",
        "Storage format of embeddings: float16, float32 or int8 (half the size of float16; check it with "
        "`Session.check_storage` first).",
        "int8",
        "float16",
        _dtype,
        "dtype",
    ),
    Setting(
        "SAMNB_CACHE_REMOTE",
        "Places that share embeddings: addresses separated by commas, read in this order. See "
        "[sharing embeddings](sharing.md).",
        "redis://cache:6379/0,s3://lab/embeddings",
        "nowhere",
        _urls,
        "remote",
        secret=True,
    ),
    Setting(
        "SAMNB_CACHE_REMOTE_TIMEOUT",
        "Time that such a place has for an answer, or for the next piece of one; late twice, samnb goes on without it.",
        "10s",
        "2s",
        parse_seconds,
        "samnb.store.remote.open_tiers(timeout=…)",
    ),
    Setting(
        "SAMNB_CHECKPOINTS",
        "A folder with weight files, searched first.",
        "/data/weights",
        "`checkpoints` in the user's data folder",
        lambda text: Path(text).expanduser(),
        "Session(checkpoint=…)",
    ),
    Setting(
        "SAMNB_MIRROR",
        "An address to fetch weight files from, by their published names, instead of the published addresses.",
        "https://files.example.org/weights",
        "the published addresses",
        str,
    ),
    Setting(
        "SAMNB_DOWNLOAD",
        "1 fetches missing weights of a model when it is first used; otherwise `samnb models download NAME` does.",
        "1",
        "nothing is fetched unasked",
        _on,
    ),
    Setting(
        "SAMNB_FAST_ATTENTION",
        "0 runs segment-anything's own image encoder, instead of the faster one with the same arithmetic.",
        "0",
        "1",
        _on,
    ),
    Setting(
        "SAMNB_FAST_DECODER",
        "0 runs segment-anything's own mask decoder and scaling of masks, instead of the faster ones.",
        "0",
        "1",
        _on,
    ),
    Setting(
        "SAMNB_PRECISION",
        "Precision of the image encoder: float32, float16 or bfloat16. Each has its own embeddings.",
        "bfloat16",
        "float16 on cuda; on a CPU bfloat16 where a check finds it faster with the same masks, but not for `tiny` and "
        "`sam3`; else float32",
        _precision,
        "Session(precision=…)",
    ),
    Setting(
        "SAMNB_BATCH",
        "Number of images that the encoder takes at once in a prewarm.",
        "8",
        "on a CPU one for each processor for `tiny`, 1 for others; on a GPU found: doubled as long as images go faster",
        _count,
    ),
    Setting(
        "SAMNB_READERS",
        "Number of threads that read pictures ahead of the encoder in a prewarm.",
        "4",
        "found on the first images; before that one for each processor, at most 8",
        _count,
    ),
    Setting(
        "SAMNB_THREADS",
        "Number of processor threads of the image encoder.",
        "4",
        "1 for `tiny`; for others found by a prewarm: all that torch takes, or one",
        _count,
    ),
    Setting(
        "SAMNB_CORES",
        "Number of cores that all processes of this machine with this setting share while they encode on the CPU; "
        "for servers with several kernels.",
        "4",
        "off: each process takes the cores it finds",
        _count,
    ),
    Setting(
        "SAMNB_READ_AHEAD",
        "Maximum memory of pictures that a prewarm has read and not encoded yet; one is always read.",
        "2GB",
        "512 MiB",
        _bytes,
    ),
)

_BY_NAME = {each.name: each for each in SETTINGS}


def setting(name: str, environment: Mapping[str, str] | None = None) -> Any:
    """The value of a variable, or None when it is not set or empty.

    Raises
    ------
    SettingError
        The value cannot be parsed.

    Examples
    --------
    >>> setting("SAMNB_CACHE_TTL", {"SAMNB_CACHE_TTL": "12h"}), setting("EMBED_CACHE_MAX", {})
    (43200.0, None)
    """
    known = _BY_NAME[name]
    text = (os.environ if environment is None else environment).get(name, "").strip()
    if not text:
        return None
    try:
        return known.parse(text)
    except (ValueError, RuntimeError) as error:  # RuntimeError: "~somebody" that has no home
        raise SettingError(name, _shown(known, text), str(error)) from None


def cache_options(folder: Path | str | None = None, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The arguments of an `EmbeddingCache` that the environment sets.

    Parameters
    ----------
    folder : path, optional
        Of the embeddings: shares are of the disk it is on.

    Raises
    ------
    SettingError
        As `setting`.

    Examples
    --------
    >>> cache_options(environment={"EMBED_CACHE_MAX": "500", "SAMNB_CACHE_DTYPE": "float32"})
    {'max_entries': 500, 'dtype': 'float32'}
    """
    options = {}
    for each in SETTINGS:
        if each.cache_option and (value := setting(each.name, environment)) is not None:
            options[each.cache_option] = _in_bytes(each.cache_option, value, folder)
    return options


def settings_text(environment: Mapping[str, str] | None = None) -> str:
    """The current values and where they come from, for a terminal; passwords are hidden."""
    environment = os.environ if environment is None else environment
    width = max(len(each.name) for each in SETTINGS)
    lines = []
    for each in SETTINGS:
        text = environment.get(each.name, "").strip()
        try:
            setting(each.name, environment)
        except SettingError as error:
            value, source = _shown(each, text), f"environment, not understood: expected {error.expected}"
        else:
            value = _shown(each, text) if text else each.default.replace("`", "")
            source = "environment" if text else "default"
        lines.append(f"{each.name:<{width}}  {value}  ({source})")
    return "\n".join([*lines, "", "What each means: docs/settings.md. An argument goes before its variable."])


def markdown_table() -> str:
    """The table of ``docs/settings.md``."""
    rows = ["| variable | meaning | example | default | argument |", "|---|---|---|---|---|"]
    for each in SETTINGS:
        option = f'`Session(cache={{"{each.option}": …}})`' if each.cache_option else f"`{each.option}`"
        cells = (f"`{each.name}`", each.meaning, f"`{each.example}`", each.default)
        rows.append(f"| {' | '.join(cells)} | {option if each.option else ''} |")
    return "\n".join(rows)


def _shown(setting: Setting, text: str) -> str:
    return ",".join(redacted_url(part.strip()) for part in text.split(",")) if setting.secret else text


def _in_bytes(option: str, value: Any, folder: Path | str | None) -> Any:
    if not isinstance(value, Share):
        return list(value) if isinstance(value, tuple) else value
    return value.of(_memory_bytes() if option == "memory_bytes" else _disk_bytes(Path(folder or ".").absolute()))


def _disk_bytes(folder: Path) -> int:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).total


def _memory_bytes() -> int:
    """Memory of the machine."""
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    expected = "a size such as 4GB; this system does not tell how much memory it has"
    raise SettingError("SAMNB_CACHE_MEMORY_BYTES", "a share", expected)
