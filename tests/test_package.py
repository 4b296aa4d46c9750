"""What holds for the package as a whole: what importing it costs, its public names, who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import samnb

PACKAGE = Path(samnb.__file__).parent
HEAVY = ("torch", "ipywidgets", "ipycanvas", "matplotlib", "pandas")

# A room may import from rooms before it; a folder of files is one room.
ROOMS = (
    *("errors", "urls", "panes", "settings", "files", "lazy_masks", "prompts", "proposals", "finding", "looks"),
    *("images", "archives"),
    *("masks", "mask_edits", "regions", "clicks", "models", "baselines"),
    *("codecs", "entries", "entry_header", "entry_files", "usage", "entry_folder", "limits", "pins", "budgets"),
    *("tier", "tier_lane", "redis_tier", "object_tier", "tiers"),
    *("memory", "single_flight", "cache_report", "entry_check", "listeners", "cache_stats", "cache"),
    *("cache_archive", "storage_check"),
    *("records", "tables", "migrations", "backups", "file_systems", "database"),
    *("queries", "file_memo", "annotation_queries"),
    *("image_catalog", "annotation_catalog", "category_catalog", "template_catalog", "catalog"),
    *("tallies",),
    *("jobs", "progress", "templates", "prototypes", "matching"),
    *("pace", "encoding", "ahead", "pipeline", "prewarm", "apply"),
    *("bit_search", "near_duplicates", "galleries", "reports", "verdicts", "formats", "exports"),
    *("cases", "figures", "yardstick_report", "yardstick", "case_files", "mask_files"),
    *("readers", "known_pictures", "import_report", "imports"),
    *("sources", "intake", "upkeep", "datasets", "lookalikes", "annotating"),
    *("template_report", "template_trial", "template_preview", "template_book", "templating", "exchange"),
    *("recipes", "replay_report", "replaying", "session"),
    *("ui", "widgets", "demo", "cache_cli", "look_cli", "recipe_cli", "bench", "cli"),
)
DRAWN = {"ui", "widgets"}

# Named by torch and Alembic, who also say what they do.
NAMED_ELSEWHERE = {"forward", "upgrade", "downgrade"}

FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def loaded_after(code: str) -> set[str]:
    program = f"{code}\nimport sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


# -- importing ----------------------------------------------------------------------------------------


def test_importing_samnb_loads_nothing_heavy() -> None:
    assert loaded_after("import samnb").isdisjoint({*HEAVY, "sqlalchemy", "numpy", "cv2", "PIL"})


def test_touching_the_public_names_loads_neither_torch_nor_widgets() -> None:
    names = ", ".join(set(samnb.__all__) - {"__version__"})
    assert loaded_after(f"from samnb import {names}").isdisjoint(HEAVY)


# -- public names -------------------------------------------------------------------------------------


def test_public_names_are_pinned() -> None:
    assert samnb.__all__ == [
        *("EmbeddingCache", "Prediction", "Prompt", "Session", "Template"),
        *("__version__", "errors", "models"),
    ]


@pytest.mark.parametrize("name", samnb.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(samnb, name) is not None
    assert name in dir(samnb)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        samnb.Sesion  # noqa: B018


def test_every_room_is_reachable_as_an_attribute() -> None:
    for name in set(dir(samnb)) - set(samnb.__all__):
        assert getattr(samnb, name).__name__ == f"samnb.{name}"


# -- who imports whom ---------------------------------------------------------------------------------


def own_imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(room imported, inside a function?) of every import of samnb in a file that runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(n) for block in ast.walk(tree) if _only_for_types(block) for b in block.body for n in ast.walk(b)}
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(n) for function in functions for n in ast.walk(function)}
    parts = path.relative_to(PACKAGE.parent).parts[:-1]
    for node in ast.walk(tree):
        if id(node) not in skipped:
            for module in _modules(node, parts):
                if module.startswith("samnb."):
                    yield module.split(".")[1], id(node) in inside


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _modules(node: ast.AST, package: tuple[str, ...]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = list(package[: len(package) - node.level + 1]) if node.level else []
    full = ".".join([*base, *filter(None, [node.module])])
    return [f"{full}.{alias.name}" for alias in node.names] if full == "samnb" else [full]


def test_every_file_is_in_a_known_room() -> None:
    assert {room_of(path) for path in FILES} - {"__init__"} <= set(ROOMS)


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) != "__init__"], ids=name_of)
def test_a_file_imports_only_from_rooms_above_it(path: Path) -> None:
    room = room_of(path)
    above = {*ROOMS[: ROOMS.index(room) + 1]}
    for other, inside_function in own_imports(path):
        # Core rooms show themselves through widgets that are loaded when somebody looks, never at import.
        if not (inside_function and other in DRAWN) and other in ROOMS:
            assert other in above, f"{name_of(path)} imports {other}, which lies below {room}"


# -- the shape of the files ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_longer_than_500_lines(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 500


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the file itself"
    # The rooms of ui/ are private behind widgets.py; there a class has to say what it is, its methods need not.
    public = _public(tree, methods=room_of(path) != "ui")
    bare = {name for name, node in public if not ast.get_docstring(node)}
    assert {name for name in bare if name.split(".")[-1] not in NAMED_ELSEWHERE} == set()


def _public(
    tree: ast.Module | ast.ClassDef, prefix: str = "", *, methods: bool = True
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not any(ast.unparse(decorator).endswith(".setter") for decorator in node.decorator_list):
                yield prefix + node.name, node
            if isinstance(node, ast.ClassDef) and methods:
                yield from _public(node, f"{node.name}.")
