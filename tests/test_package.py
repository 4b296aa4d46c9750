"""What holds for the package as a whole: what importing it costs, its public names, the shape of its files."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import grimp
import pytest

import samnb

PACKAGE = Path(samnb.__file__).parent
HEAVY = ("torch", "ipywidgets", "ipycanvas", "matplotlib", "pandas")

# Named by torch and Alembic, who also say what they do.
NAMED_ELSEWHERE = {"forward", "upgrade", "downgrade"}

FILES = sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> str:
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


def test_opening_a_session_loads_nothing_that_only_some_need(tmp_path: Path) -> None:
    code = f"import samnb; samnb.Session({str(tmp_path)!r}).close()"
    loaded_after(code)  # makes the catalog, by migrations
    assert loaded_after(code).isdisjoint({*HEAVY, "alembic", "sqlalchemy.dialects.postgresql", "yaml"})


def test_no_circles() -> None:
    """Imports inside functions and under TYPE_CHECKING count too."""
    graph = grimp.build_graph("samnb", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names a circle


# -- public names -------------------------------------------------------------------------------------


def test_public_names_are_pinned() -> None:
    assert samnb.__all__ == [
        *("EmbeddingCache", "Prediction", "Prompt", "Session", "Template", "View"),
        *("__version__", "errors", "models"),
    ]


@pytest.mark.parametrize("name", samnb.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(samnb, name) is not None
    assert name in dir(samnb)


@pytest.mark.parametrize("name", [name for name in samnb.__all__ if isinstance(getattr(samnb, name), type)])
def test_every_public_class_has_an_example(name: str) -> None:
    assert ">>>" in getattr(samnb, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        samnb.Sesion  # noqa: B018


def test_every_module_is_reachable_as_an_attribute() -> None:
    for name in set(dir(samnb)) - set(samnb.__all__):
        assert getattr(samnb, name).__name__ == f"samnb.{samnb._ALIASES.get(name, name)}"


def test_modules_that_moved_are_imported_by_their_earlier_names() -> None:
    for earlier, now in samnb._ALIASES.items():
        moved, module = import_module(f"samnb.{earlier}"), import_module(f"samnb.{now}")
        assert moved is module
        assert module.__spec__ is not None
        assert module.__spec__.name == module.__name__ == f"samnb.{now}"
    assert loaded_after("from samnb.cache_archive import export_entries").isdisjoint(HEAVY)
    with pytest.raises(ModuleNotFoundError):
        import_module("samnb.templates.clicks")


# -- the shape of the files ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_longer_than_500_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the file itself"
    # The modules of ui/ are private behind widgets.py; there a class has to say what it is, its methods need not.
    public = _public(tree, methods=package_of(path) != "ui")
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
