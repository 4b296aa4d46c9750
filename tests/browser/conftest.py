"""Fixtures of the browser tests; without Playwright or Chromium they skip and say so, under CI they fail."""

from __future__ import annotations

import os

import pytest

from tests.conftest import find_chromium

from .lab import CHROMIUM_FLAGS, PAGE_MILLISECONDS, Lab, LabFolder, NotebookPage


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="package")
def browser():
    """Chromium; a browser of Playwright's own if there is none on the PATH.

    Closed after the last browser test: until then Playwright keeps an event loop running in this thread, where no other
    test could run its own.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _missing("browser tests need Playwright: pip install 'samnb[test]'")
    path = find_chromium()
    with sync_playwright() as playwright:
        try:
            running = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        except Error as error:
            _missing(f"browser tests need Chromium (apt-get install chromium): {str(error).splitlines()[0]}")
        running.new_page = _patient(running.new_page)
        yield running
        running.close()


def _patient(new_page):
    """Pages that wait long for what a test does in them; with SAMNB_SLOW_BROWSER=8 they get an eighth of a core."""
    rate = float(os.environ.get("SAMNB_SLOW_BROWSER", "1"))

    def patient_page(**options):
        page = new_page(**options)
        page.set_default_timeout(PAGE_MILLISECONDS)
        if rate > 1:
            page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": rate})
        return page

    return patient_page


@pytest.fixture(scope="package")
def lab_server(tmp_path_factory):
    """A JupyterLab for all browser tests: starting one takes as long as a test."""
    running = Lab(tmp_path_factory.mktemp("lab"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def lab(lab_server, request):
    """A folder of it for the tests of one module; afterwards their kernels and what they set in the page are gone."""
    yield LabFolder(lab_server, request.module.__name__.rpartition(".")[2])
    lab_server.start_over()


@pytest.fixture
def notebook(browser, lab, request):
    """A page to open notebooks in; what the page complained about is shown when the test fails."""
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    yield NotebookPage(lab, page)
    print("the page's console:", *complaints, sep="\n  ")
    page.close()
