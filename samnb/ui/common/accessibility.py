"""`Accessibility`: names of controls and live regions, which ipywidgets leaves out; an invisible widget."""

from __future__ import annotations

from .script_widget import ScriptWidget

_ESM = """
const CONTROLS = "input, select, textarea, [role='slider']";

function render({ el }) {
  el.classList.add("samnb-accessibility");
  let root = null, waiting = false, stopped = false;
  const say = (node, text) => {
    if (text && node.getAttribute("aria-label") !== text) node.setAttribute("aria-label", text);
  };
  const name = () => {
    // ipywidgets puts an empty label beside fields and lists, which hides their tooltip, and names no slider.
    for (const each of root.querySelectorAll(CONTROLS)) {
      const widget = each.closest(".jupyter-widgets"), label = widget?.querySelector(".widget-label");
      const text = each.title || label?.title || each.closest("[title]")?.title || label?.textContent.trim();
      // The tooltip of a range slider has a part for each handle.
      const handles = [...(widget?.querySelectorAll(".noUi-handle") || [])], parts = text?.split(" · ");
      say(each, (handles.length === parts?.length ? parts[handles.indexOf(each)] : text) || each.placeholder || "");
    }
    // An icon is a letter of a font: its tooltip is the name.
    for (const each of root.querySelectorAll("button:is(.samnb-icon, .samnb-plain)")) say(each, each.title);
    // The button beside a picture describes it.
    for (const each of root.querySelectorAll("img:not([alt])")) each.alt = "";
    for (const each of root.querySelectorAll("canvas:not([aria-hidden])")) each.setAttribute("aria-hidden", "true");
    for (const [part, role, live] of [[".samnb-foot", "status", "polite"], [".samnb-note", "note", "polite"],
      [".samnb-error-line:not(.samnb-note)", "alert", "assertive"]])
      for (const each of root.querySelectorAll(`${part}:not([aria-live])`)) {
        each.setAttribute("role", role);
        each.setAttribute("aria-live", live);
      }
  };
  const changes = new MutationObserver(() => {
    if (!waiting) requestAnimationFrame(() => {
      waiting = false;
      if (root.isConnected) name();
    });
    waiting = true;
  });
  const start = () => {
    if (stopped) return;
    root = el.closest(".samnb");
    if (!root) return requestAnimationFrame(start);
    name();
    changes.observe(root, { subtree: true, childList: true, attributeFilter: ["title"] });
  };
  start();
  return () => {
    stopped = true;
    changes.disconnect();
  };
}
export default { initialize, render };
"""


class Accessibility(ScriptWidget):
    """Names every field, list and slider of the samnb widget around it after its tooltip, for screen readers.

    What changes in a line of the class "samnb-foot" is read aloud, and what a note or an error line says.
    """

    _esm = _ESM
    _css = ".samnb-accessibility { display: none; }"
