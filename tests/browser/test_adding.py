"""Adding in JupyterLab: an upload through the browser."""

import re

import pytest

from tests.support.waiting import wait_until

from .pictures import write_photos

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def photos(lab):
    return write_photos(lab.root / "photos", crops=2)


def says(notebook, pattern):
    def look():
        widget = notebook.page.locator(".samnb")
        return widget.count() and re.search(pattern, widget.last.inner_text())

    return wait_until(f"a widget says {pattern!r}", look)


def test_files_chosen_in_the_browser_are_added(notebook, lab, photos):
    notebook.open("upload.ipynb", ["import samnb\nsession = samnb.Session('upload')\nsession.upload(dataset='monday')"])
    button = notebook.page.get_by_role("button", name="Choose pictures or zip files")
    wait_until("the button", lambda: button.count() == 1)
    with notebook.page.expect_file_chooser() as chooser:
        button.click()
    bad = lab.root / "bad.png"
    bad.write_bytes(b"<b>no picture</b>")
    chooser.value.set_files([photos / "coins.png", photos / "drawer-1.png", bad])
    says(notebook, r"2 images in 'monday' · 2 new · 1 failed")
    wait_until("the button works again", button.is_enabled)
    assert notebook.ask("[i.filename for i in session.images('monday')]") == "['coins.png', 'drawer-1.png']"
    wait_until("one bar", lambda: notebook.page.get_by_role("progressbar", name="images done").count() == 1)
