"""The annotator in its page: sizes, a tab of its own, fullscreen, touch, names, contrast, a kernel that goes away."""

import ast

import pytest

from tests.support.waiting import wait_until

from .hand import Hand
from .lab import NotebookPage
from .pictures import COIN, FAKE_MODEL, OTHER_COIN, write_photos

pytestmark = pytest.mark.browser

CELLS = [
    "import samnb\nsession = samnb.Session('page-session')\nsession.add('photos', dataset='monday', show=False)\n"
    "for name in ('coin', 'rim', 'hole'):\n    session.add_category(name)\n"
    "session.add_attribute('side', kind='choice', choices=('left', 'right'))\n"
    "session.add_attribute('note', kind='text')",
    FAKE_MODEL,
    "session.embedding('coins.png')\nannotator = session.annotate('coins.png')\nannotator",
]

LAYOUT = """() => {
  const home = document.querySelector(".samnb:has(.samnb-stage)"), box = home.getBoundingClientRect();
  const room = home.closest(".jp-WindowedPanel-outer").clientHeight;
  const hidden = (each, own) => {
    for (let around = each.parentElement; around !== home; around = around.parentElement) {
      const box = around.getBoundingClientRect();
      if (getComputedStyle(around).overflowX === "hidden" && (own.right > box.right + 1 || own.left < box.left - 1))
        return true;
    }
    return false;
  };
  const cut = [...home.querySelectorAll("button, select, input, .samnb-foot, .samnb-head, .samnb-label")]
    .filter(each => each.checkVisibility() && !each.closest(".samnb-strip, .samnb-list"))
    .filter(each => {
      const own = each.getBoundingClientRect();
      return own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1
        || hidden(each, own) || (each.tagName === "BUTTON" && each.scrollWidth > each.clientWidth + 1);
    }).map(each => each.title || each.textContent || each.outerHTML.slice(0, 120));
  const stage = home.querySelector(".samnb-stage").getBoundingClientRect();
  return { room, height: box.height, width: box.width, cut, stage: [stage.width, stage.height] };
}"""

# WCAG contrast of each text to the background behind it; the disabled ones are exempt.
CONTRAST = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((value, i) => value * a + under[i] * (1 - a));
  const behind = (node) => {
    const chain = [];
    for (let each = node; each; each = each.parentElement) chain.unshift(rgba(getComputedStyle(each).backgroundColor));
    return chain.reduce((under, color) => over(color, under), [255, 255, 255]);
  };
  const light = (color) => color.map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  for (const node of document.querySelectorAll(".samnb-annotator *")) {
    const own = [...node.childNodes].some(each => each.nodeType === 3 && each.textContent.trim());
    if (!(own || node.matches("input, select")) || !node.checkVisibility() || node.closest(":disabled, .samnb-stage"))
      continue;
    const ground = behind(node), text = over(rgba(getComputedStyle(node).color), ground);
    const [high, low] = [light(text), light(ground)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${node.textContent.trim().slice(0, 30)} .${node.className}`);
  }
  return found;
}"""


# What becomes of a touch, for the message of a failure.
HEAR = """() => {
  window.heard = [];
  const hear = (e) => {
    const where = `${Math.round(e.clientX)}, ${Math.round(e.clientY)}`, on = e.target.textContent.slice(0, 20);
    heard.push(`${Math.round(e.timeStamp)}: ${e.type} at ${where} on ${on} ${e.target.disabled ? "(disabled)" : ""}`);
  };
  for (const name of ["pointerdown", "pointerup", "pointercancel", "mousedown", "click", "contextmenu"])
    window.addEventListener(name, hear, true);
}"""
ON_PICTURE = "document.activeElement.matches('.samnb-pointer-listener')"


@pytest.fixture(scope="module")
def hand(browser, lab):
    write_photos(lab.root / "photos")
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    notebook = NotebookPage(lab, page)
    notebook.open("page.ipynb", CELLS)
    notebook.wait_until_run()
    yield Hand(notebook)
    page.close()


def ask(hand, code):
    return ast.literal_eval(hand.notebook.ask(code))


def resize(hand, width, height, ratio=1.0):
    session = hand.page.context.new_cdp_session(hand.page)
    metrics = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": False}
    session.send("Emulation.setDeviceMetricsOverride", metrics)
    hand.stage.scroll_into_view_if_needed()


def an_annotation(hand):
    """One at least, for the tests that look at a row."""
    if not ask(hand, "len(annotator.annotations)"):
        hand.notebook.ask("(annotator.click(110, 204), annotator.wait(), annotator.accept())")
        wait_until("its row", lambda: hand.page.locator(".samnb-list .samnb-chip").count())


def until_laid_out(hand, width, height):
    """Until everything is visible in a page of that size, and the picture is large."""
    seen = [None]

    def fits():
        seen.append(hand.page.evaluate(LAYOUT))
        wide, high = seen[-1]["stage"]
        return (
            (seen[-1] == seen[-2] and hand.page.evaluate("innerWidth") == width)
            and (seen[-1]["cut"] == [] and seen[-1]["height"] <= seen[-1]["room"])
            and high >= (0.3 * height if width > 600 else 180)
            and (wide >= 0.6 * width or width <= 1440)
        )

    try:
        wait_until("everything is visible", fits, every=0.4)
    except AssertionError as error:
        raise AssertionError(f"{error} The layout: {seen[-1]}") from None


def until_drawn(hand, ratio):
    def same():
        width, height = hand.page.evaluate(LAYOUT)["stage"]
        drawn = ask(hand, "(annotator._layout.stage.canvas.width, annotator._layout.stage.canvas.height)")
        return drawn == (round(width * ratio), round(height * ratio))

    wait_until("the canvas has the size of the stage", same)


@pytest.mark.parametrize(
    ("width", "height", "ratio"), [(1366, 768, 1), (1440, 900, 1.5), (2400, 1300, 1), (600, 900, 2)]
)
def test_everything_is_visible_without_scrolling(hand, width, height, ratio):
    if width == 600:
        hand.notebook.start("application:toggle-left-area")
    try:
        resize(hand, width, height, ratio)
        until_laid_out(hand, width, height)
        until_drawn(hand, ratio)
    finally:
        if width == 600:
            hand.notebook.start("application:toggle-left-area")
        resize(hand, 1366, 768)


def test_a_tab_of_its_own_and_fullscreen_keep_the_state(hand):
    page = hand.page
    hand.click(*COIN)
    hand.until_mask(points=1)
    page.locator(".samnb-to-fullscreen").click()
    page.wait_for_function("document.fullscreenElement?.matches('.samnb')")
    wait_until(
        "it fills the screen",
        lambda: page.locator(".samnb-stage").bounding_box()["height"] > 0.6 * page.viewport_size["height"],
    )
    page.locator(".samnb-to-fullscreen").click()
    page.wait_for_function("!document.fullscreenElement")

    page.locator(".samnb-to-tab").click()
    first, hand.stage = hand.stage, page.locator(".samnb-tab .samnb-stage")
    hand.stage.wait_for()
    wait_until("the tab is used", lambda: (hand.stage.bounding_box() or {"height": 0})["height"] > 400)
    hand.until_told_size()
    assert ask(hand, "len(annotator.prompt.points)") == 1
    hand.click(*OTHER_COIN)
    wait_until("clicks count", lambda: ask(hand, "len(annotator.prompt.points)") == 2)

    page.locator(".lm-TabBar-tabCloseIcon >> visible=true").last.click()
    hand.stage = first
    hand.stage.wait_for()
    wait_until("nothing speaks of the tab", lambda: not page.locator(".samnb-page-back").count())
    hand.press("Escape")
    wait_until("the keys count", lambda: ask(hand, "len(annotator.prompt.points)") == 0)


def test_one_object_in_each_category_with_fingers_alone(hand):
    page, session = hand.page, hand.page.context.new_cdp_session(hand.page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    page.evaluate(HEAR)

    def touch(kind, *places):
        points = [{"x": x, "y": y, "id": number, "force": 0.3} for number, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    def tap(x, y):
        touch("Start", (x, y))
        touch("End")

    def tap_on(locator):
        # The kernel is ahead of the page: a finger on a button that is still disabled does nothing.
        wait_until("it can be pressed", locator.is_enabled)
        box, seen = locator.bounding_box(), None
        while box != seen:  # a finger that comes down beside a button that still moves does nothing either
            page.wait_for_timeout(150)
            box, seen = locator.bounding_box(), box
        tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    before = ask(hand, "len(annotator.annotations)")
    for number, name in enumerate(("coin", "rim", "hole"), 1):
        tap_on(page.locator(".samnb-chip", has_text=f"{number} {name}").first)
        wait_until("its category", lambda name=name: ask(hand, "annotator.category") == name)
        if number < 3:
            tap(*hand.place(*COIN))
        else:
            (x0, y0), (x1, y1) = hand.place(200, 180), hand.place(240, 220)
            touch("Start", (x0, y0))
            for step in range(1, 6):
                touch("Move", (x0 + step * (x1 - x0) / 5, y0 + step * (y1 - y0) / 5))
            touch("End")
            wait_until("a box", lambda: ask(hand, "annotator.prompt.box is not None"))
        hand.until_mask()
        # The page shows it: until then a person has nothing to accept.
        hand.until(r"score 0\.94 · \d+ ms")
        tap_on(page.get_by_role("button", name="Accept ⏎"))
        try:
            wait_until("kept", lambda number=number: ask(hand, "len(annotator.annotations)") == before + number)
        except AssertionError:
            print("the page heard:", *page.evaluate("heard"), sep="\n  ")
            print("the kernel says:", ask(hand, "(annotator.status, annotator.error, annotator.editing)"))
            raise
        wait_until("the keys are the picture's", lambda: page.evaluate(ON_PICTURE))

    (x, y), view = hand.place(*COIN), "annotator._layout.stage.view"
    touch("Start", (x - 30, y))
    touch("Start", (x - 30, y), (x + 30, y))
    for step in range(1, 8):
        touch("Move", (x - 30 - 10 * step, y), (x + 30 + 10 * step, y))
    # From 60 to 200 pixels between them, to the last bit of it.
    wait_until("two fingers zoom", lambda: ask(hand, f"{view}.zoom") == pytest.approx(200 / 60, rel=0.01))
    zoom, (_, top) = ask(hand, f"{view}.zoom"), ask(hand, f"{view}.offset")
    for step in range(1, 6):
        touch("Move", (x - 100, y - 10 * step), (x + 100, y - 10 * step))
    touch("End")
    wait_until("two fingers move", lambda: ask(hand, f"{view}.offset")[1] < top - 20)
    assert ask(hand, f"{view}.zoom") == pytest.approx(zoom, rel=0.05)
    assert ask(hand, "len(annotator.prompt.points)") == 0
    assert ask(hand, "len(annotator.annotations)") == before + 3
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    hand.press("f")


def test_every_control_has_a_name_and_the_status_is_announced(hand):
    page = hand.page
    an_annotation(hand)
    page.get_by_title("How picture and masks look").click()
    page.get_by_title("Rename or recolour").click()
    page.locator(".samnb-list .samnb-chip").first.click()
    for panel in ("[role='slider'][aria-label^='Opacity']", "input[type='color']"):
        page.locator(f".samnb-annotator {panel} >> visible=true").first.wait_for()
    unnamed = """() => [...document.querySelectorAll(".samnb-annotator :is(button, input, select, [role='slider'])")]
        .filter(each => each.checkVisibility() && !each.getAttribute("aria-label")
            && !/[\\p{L}\\p{N}?]/u.test(each.textContent)).map(each => each.outerHTML.slice(0, 120))"""
    wait_until("all are named", lambda: not page.evaluate(unnamed))
    session = page.context.new_cdp_session(page)
    # Of the annotator alone: the notebook's own cells have fields without a name.
    document = session.send("DOM.getDocument")["root"]["nodeId"]
    home = session.send("DOM.querySelector", {"nodeId": document, "selector": ".samnb-annotator"})["nodeId"]
    nodes = session.send("Accessibility.queryAXTree", {"nodeId": home})["nodes"]
    nodes = [node for node in nodes if not node["ignored"]]
    roles = {"button", "combobox", "slider", "textbox", "checkbox", "ColorWell", "application"}
    seen = [(n["role"]["value"], n["name"]["value"].strip()) for n in nodes if n.get("role", {}).get("value") in roles]
    names = [name for _, name in seen]
    assert "Which images are shown and stepped through" in names
    assert any(role == "slider" and name.startswith("Opacity") for role, name in seen)
    # Letters of an icon font are no name.
    assert [each for each in seen if not each[1] or all("\ue000" <= sign <= "\uf8ff" for sign in each[1])] == []
    assert page.locator(".samnb-foot").get_attribute("aria-live") == "polite"
    assert page.locator(".samnb-annotator .samnb-note").get_attribute("role") == "note"  # advice is no alarm
    page.get_by_title("Rename or recolour").click()
    page.get_by_title("How picture and masks look").click()


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_text_can_be_read_in_both_themes(hand, theme):
    hand.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", f"JupyterLab {theme}")
    hand.page.wait_for_function(f"document.body.dataset.jpThemeLight === '{'false' if theme == 'Dark' else 'true'}'")
    wait_until("nothing is faint", lambda: not hand.page.evaluate(CONTRAST))


def test_without_a_kernel_one_line_says_so_and_another_run_finds_everything(hand):
    page = hand.page
    an_annotation(hand)
    before = ask(hand, "len(session.annotations())")
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    gone = page.locator(".samnb.samnb-kernel-gone")
    gone.wait_for()
    line = gone.evaluate("el => getComputedStyle(el, '::after').content")
    assert line == '"the kernel is gone: run all cells again"'
    broken = """() => [...document.querySelectorAll(".samnb-kernel-gone, .samnb-kernel-gone *")].filter(each =>
        each.matches(".jupyter-widgets-disconnected") && getComputedStyle(each, "::before").display !== "none"
        || each.matches("img") && each.checkVisibility() && each.complete && !each.naturalWidth).length"""
    wait_until("no sign of what is broken", lambda: page.evaluate(broken) == 0)
    assert hand.colours()["grey"] > 1000  # the last picture
    hand.notebook.wait_for_kernel()
    hand.notebook.start("notebook:run-all-cells")
    wait_until("all cells have run", lambda: not page.evaluate("window.atWork"))
    gone.wait_for(state="detached")
    wait_until("the new kernel has it", lambda: ask(hand, "len(annotator.session.annotations())") == before)
    hand = Hand(hand.notebook)
    hand.click(*COIN)
    wait_until("clicks count", lambda: ask(hand, "len(annotator.prompt.points)") == 1)
