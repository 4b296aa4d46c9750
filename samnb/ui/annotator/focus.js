// Gives the focus back to the picture: whatever was clicked, entered or went away does not keep the keys. What was
// reached with Tab keeps the focus: Enter and Space are for it, as everywhere on a page.

const FIELDS = "input:not([type='checkbox']), textarea, select, [contenteditable='true'], .cm-content, .CodeMirror";
const KEPT_BY_KEYS = `${FIELDS}, [role='slider']`;
const PRESSED_BY_KEYS = "button, summary, a, input[type='checkbox']";

function keepFocus(el) {
  const home = () => el.closest(".samnb") || el;
  const focused = () => document.activeElement;
  const holds = (node) => Boolean(node) && node !== el && home().contains(node);
  const usable = (node) => node.isConnected && !node.disabled && node.offsetParent !== null;
  let byPointer = false, returning = 0, last = null, before = "";

  const back = () => el.isConnected && el.offsetParent && el.focus({ preventScroll: true });
  const opened = (node) => node.matches("select") && CSS.supports("selector(:open)") && node.matches(":open");
  // JupyterLab moves the focus during the press; a list that opens, or a text field, needs it until it is done.
  // A finger's click comes in a task of its own after its release, and gives its button the focus: it is waited for.
  const inField = () => Boolean(focused()?.matches(FIELDS));
  const afterPointer = (e) => {
    if (e.type === "pointerup" && e.pointerType === "touch") return;
    if (!home().contains(e.target) || e.target.closest?.(".samnb") !== home()) return;
    returning += 1;
    setTimeout(() => {
      returning -= 1;
      if (!(holds(focused()) && inField())) back();
    });
  };
  // A busy page hands over a key before it comes to the timer: the key is the picture's already.
  const onItsWay = () => returning > 0 && !inField();
  const onPointerDown = (e) => {
    byPointer = home().contains(e.target);
    if (!byPointer) last = null;
  };
  const onFocus = (e) => {
    // ipycanvas's own canvas would take every key, Tab too: the focus could not leave it.
    if (e.target.matches?.("canvas") && e.target.closest(".samnb-stage")?.contains(el)) {
      e.target.tabIndex = -1;
      back();
    } else if (holds(e.target)) {
      last = e.target;
      before = e.target.value;
    } else if (e.target === el || !last || usable(last)) {
      last = null;
    }
  };
  const onKey = (e) => {
    if (e.key === "Tab") byPointer = false;
    const field = focused();
    if (e.isComposing || onItsWay() || !holds(field) || !field.matches(KEPT_BY_KEYS) || opened(field)) return;
    if (e.key === "Escape") {
      if (field.matches("input, textarea")) field.value = before;
      e.preventDefault();
      e.stopImmediatePropagation();
      back();
    } else if (e.key === "Enter" && field.matches("input, select")) {
      setTimeout(back); // after ipywidgets has read it
    } else if (byPointer && !field.matches("input, textarea, [contenteditable='true']")) {
      back(); // a list that was opened and closed without a choice
    }
  };
  const onChange = (e) => {
    if (byPointer && holds(e.target) && e.target.matches("select, [type='color'], [type='checkbox']")) back();
  };
  // A button that is disabled by what it did, or a row that went away with its button.
  const onChanges = () => {
    if (last && !usable(last) && (focused() === last || !focused()?.closest?.("input, textarea, .cm-content"))) {
      last = null;
      back();
    }
  };
  const changes = new MutationObserver(() => last && setTimeout(onChanges));
  const onClick = (e) => byPointer && afterPointer(e);
  const listeners = [["pointerup", afterPointer], ["click", onClick], ["pointerdown", onPointerDown], ["focusin", onFocus],
    ["keydown", onKey], ["change", onChange]];
  for (const [name, listener] of listeners) window.addEventListener(name, listener, true);
  const start = () => {
    if (el.closest(".samnb"))
      changes.observe(home(), { subtree: true, childList: true, attributeFilter: ["disabled", "style", "class"] });
    else requestAnimationFrame(start);
  };
  start();

  return {
    // Whether keys are the picture's now: the focus is in the annotator, and not in a field.
    keys: () => focused() === el || onItsWay() || (holds(focused()) && !focused().matches(KEPT_BY_KEYS)),
    // Whether Enter and Space press what has the focus.
    pressed: () => !onItsWay() && holds(focused()) && focused().matches(PRESSED_BY_KEYS),
    stop: () => {
      changes.disconnect();
      for (const [name, listener] of listeners) window.removeEventListener(name, listener, true);
    },
  };
}
