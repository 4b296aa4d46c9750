"""`ClickListener`: receives clicks on the tuner's pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..common.script_widget import ScriptWidget

_log = logging.getLogger("samnb.widgets")

_ESM = """
function render({ model, el }) {
  el.classList.add("samnb-click-listener");
  let root = null;
  const onClick = (e) => {
    // The widget of the picture keeps its class when the picture is drawn anew.
    const larger = e.target.closest?.(".samnb-enlarge");
    if (larger) return larger.closest(".samnb-gallery > *")?.classList.toggle("samnb-large");
    const image = e.target.closest?.("img[data-sample]");
    if (!image || !image.naturalWidth) return;
    // The picture keeps its proportions within a box of others.
    const box = image.getBoundingClientRect();
    const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
    const x = (e.clientX - box.left - (box.width - image.naturalWidth * scale) / 2) / (image.naturalWidth * scale);
    const y = (e.clientY - box.top - (box.height - image.naturalHeight * scale) / 2) / (image.naturalHeight * scale);
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return;
    model.send({ sample: Number(image.dataset.sample), x, y });
  };
  const start = () => {
    root = el.closest(".samnb");
    if (!root) return requestAnimationFrame(start);
    root.addEventListener("click", onClick);
  };
  start();
  return () => root?.removeEventListener("click", onClick);
}
export default { initialize, render };
"""


class ClickListener(ScriptWidget):
    """Clicks on numbered pictures, within the widget around this one.

    Parameters
    ----------
    on_pick : callable
        Called with the picture's number and (x, y), 0 to 1 of it from left to right and from top to bottom.
    """

    _esm = _ESM
    _css = ".samnb-click-listener { display: none; }"

    def __init__(self, on_pick: Callable[[int, float, float], None]):
        super().__init__()
        self._on_pick = on_pick
        self.on_msg(self._on_message)

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        try:
            self._on_pick(int(content["sample"]), float(content["x"]), float(content["y"]))
        except Exception:
            _log.exception("what a click on a picture did failed")
