"""Controls get their names after the page has taken the widget away for a moment too; without JupyterLab."""

from __future__ import annotations

import pytest

from samnb.ui.common.accessibility import Accessibility
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

RUN = """async (code) => {
  const { default: names } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  names.render({ el: document.getElementById("names") });
}"""
# As JupyterLab does with a cell that is scrolled out of sight.
TAKE_AWAY = """() => new Promise((done) => {
  const widget = document.querySelector(".samnb"), home = widget.parentElement;
  widget.append(document.createElement("p"));
  setTimeout(() => {
    widget.remove();
    requestAnimationFrame(() => requestAnimationFrame(() => { home.append(widget); done(); }));
  });
})"""
ADD = """(title) => {
  const field = document.createElement("input");
  field.title = title;
  document.querySelector(".samnb").append(field);
}"""


def test_what_comes_after_the_widget_was_taken_away_is_named(browser):
    page = browser.new_page()
    page.set_content('<div class="samnb"><div id="names"></div></div>')
    page.evaluate(RUN, Accessibility._esm)
    page.evaluate(ADD, "before")
    wait_until("it is named", page.get_by_role("textbox", name="before").count)
    page.evaluate(TAKE_AWAY)
    page.evaluate(ADD, "after")
    wait_until("it is named", lambda: page.locator("[aria-label=after]").count())
    page.close()
