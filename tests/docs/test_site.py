"""The documentation site: it builds without a warning, its links lead somewhere, it has every public name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright

import samnb

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs" / "site"
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "reference").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_says_for_whom_it_is(page: Path) -> None:
    title, first = page.read_text(encoding="utf-8").split("\n\n")[:2]
    assert title.startswith("# ")
    assert first.startswith("For ")


def test_the_picture_of_the_packages_is_that_of_the_imports() -> None:
    sys.path.insert(0, str(SITE))
    try:
        import package_picture
    finally:
        sys.path.remove(str(SITE))
    drawn = set(re.findall(r">([\w ]+)</text>", package_picture.PICTURE.read_text(encoding="utf-8")))
    assert drawn == {name for row in package_picture.rows() for name in row}, "make docs draws it again"
    assert package_picture.PICTURE.read_text(encoding="utf-8") == package_picture.svg(), "make docs draws it again"
    height = {name: number for number, row in enumerate(package_picture.rows()) for name in row}
    arrows = package_picture.arrows()
    assert len(arrows) > 20
    assert [pair for pair in arrows if height[pair[0]] >= height[pair[1]]] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does; a warning fails it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run(
        [*command, "-c", str(SITE), "-d", str(folder / "doctrees"), str(ROOT), str(folder / "html")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


class _Page(HTMLParser):
    """The addresses that a page links to, those that it loads, and its anchors."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.alts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if "src" in values:
            self.loads.append(values["src"])
        if tag == "img":
            self.alts.append(values.get("alt", ""))
        if tag == "link" and values.get("rel") == "stylesheet":
            self.loads.append(values["href"])


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    return {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


@pytest.mark.slow
def test_every_link_inside_the_site_leads_somewhere(site: Path, pages: dict[Path, _Page]) -> None:
    broken, checked = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link in ("#", ""):
                continue
            checked += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            known = pages.get(target)
            if not target.exists() or (known and parts.fragment and unquote(parts.fragment) not in known.anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert checked > 1000
    assert broken == []


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(pages: dict[Path, _Page]) -> None:
    assert {load for page in pages.values() for load in page.loads if urlsplit(load).netloc} == set()


@pytest.mark.slow
def test_every_picture_has_a_text(site: Path, pages: dict[Path, _Page]) -> None:
    alts = [(path.name, alt) for path, page in pages.items() if "_static" not in path.parts for alt in page.alts]
    assert len(alts) > 50
    assert [(name, alt) for name, alt in alts if not alt or "_images/" in alt] == []


@pytest.mark.slow
def test_every_public_name_has_a_place_in_the_reference(pages: dict[Path, _Page]) -> None:
    reference = {anchor for path, page in pages.items() if path.parent.name == "reference" for anchor in page.anchors}
    names = {f"samnb.{name}" for name in (*samnb.__all__, *samnb._SUBMODULES)} - {"samnb.session"}
    missing = {name for name in names if name not in reference and f"module-{name}" not in reference}
    assert missing == set()
    methods = {name for name in dir(samnb.Session) if not name.startswith("_")}
    assert {name for name in methods if f"samnb.Session.{name}" not in reference} <= {"lamp", "look_at"}


@pytest.mark.slow
def test_every_command_is_in_the_reference(site: Path) -> None:
    from samnb.cli import _parser

    text = (site / "docs" / "reference" / "commands.html").read_text(encoding="utf-8")
    names = re.findall(r"^    ([a-z]+)  ", _parser().format_help(), re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if f"samnb {name}" not in text] == []
    assert "samnb lab -- --port 9999" in text  # no dash of a typesetter


WIDER_THAN_THE_PAGE = """() => [...document.querySelectorAll('article *:not(.headerlink)')].filter(element => {
  if (element.getBoundingClientRect().right <= document.documentElement.clientWidth + 1) return false;
  for (let around = element.parentElement; !around.matches('article'); around = around.parentElement)
    if (/auto|scroll/.test(getComputedStyle(around).overflowX)) return false;
  return true;
}).map(element => element.textContent.trim().slice(0, 60))"""


@pytest.mark.slow
@pytest.mark.parametrize("page", ["CHANGELOG", "docs/settings", "docs/reference/session", "docs/reference/results"])
def test_a_page_fits_a_phone(site: Path, chromium: str, page: str) -> None:
    """What is wide scrolls by itself: a table, a block of code."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 390, "height": 844})
        opened.goto((site / f"{page}.html").as_uri())
        assert opened.locator("article").inner_text()
        assert opened.evaluate(WIDER_THAN_THE_PAGE) == []
        browser.close()
