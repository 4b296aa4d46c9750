"""`ScrollListener`: reports the width of the filmstrip on the page, and the wheel over it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..common.script_widget import ScriptWidget

_log = logging.getLogger("samnb.widgets")

_ESM = """
const EVERY_MS = 40;

function render({ model, el }) {
  el.classList.add("samnb-scroll-listener");
  let strip = null, turned = 0, timer = 0;
  const flush = () => {
    timer = 0;
    if (!turned) return;
    model.send({ turned });
    turned = 0;
    timer = setTimeout(flush, EVERY_MS);
  };
  const onWheel = (e) => {
    e.preventDefault();
    e.stopPropagation();
    turned += e.deltaY || e.deltaX;
    if (!timer) flush();
  };
  // Cells out of view take no focus by Tab: the browser would shift the strip to show them.
  const fit = () => {
    for (const cell of strip.querySelectorAll(".samnb-cell")) {
      const button = cell.querySelector("button");
      if (button) button.tabIndex = cell.offsetLeft + cell.offsetWidth - strip.offsetLeft <= strip.clientWidth ? 0 : -1;
    }
  };
  const onShift = () => { strip.scrollLeft = 0; };
  const observer = new ResizeObserver(() => {
    fit();
    model.send({ width: strip.getBoundingClientRect().width });
  });
  const changes = new MutationObserver(fit);
  const start = () => {
    strip = el.closest(".samnb-strip");
    if (!strip) return requestAnimationFrame(start);
    strip.addEventListener("wheel", onWheel, { passive: false });
    strip.addEventListener("scroll", onShift);
    changes.observe(strip, { childList: true, subtree: true });
    observer.observe(strip);
  };
  start();
  return () => {
    clearTimeout(timer);
    observer.disconnect();
    changes.disconnect();
    strip?.removeEventListener("scroll", onShift);
    strip?.removeEventListener("wheel", onWheel);
  };
}
export default { initialize, render };
"""


class ScrollListener(ScriptWidget):
    """An invisible child of the filmstrip.

    Parameters
    ----------
    on_turn : callable
        Called with how far the wheel turned, in pixels; positive: down, or to the right.
    on_width : callable
        Called with the strip's width in CSS pixels, when it is shown and when it changes.
    """

    _esm = _ESM
    _css = ".samnb-scroll-listener { display: none; }"

    def __init__(self, on_turn: Callable[[float], None], on_width: Callable[[float], None]):
        super().__init__()
        self._on_turn, self._on_width = on_turn, on_width
        self.on_msg(self._on_message)

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        try:
            if "turned" in content:
                self._on_turn(float(content["turned"]))
            elif content.get("width"):
                self._on_width(float(content["width"]))
        except Exception:
            _log.exception("the filmstrip could not be scrolled")
