// Sends pointer, wheel and keys over the stage to the kernel: presses at once; moves, wheel and hover one message at a
// time, the latest wins. A message waits until the kernel has acknowledged the one before, so none can queue up.

const LAZY_EVERY_MS = 16;
const BUSY_AFTER_MS = 700;
const ASK_EVERY_MS = 5000;

function render({ model, el }) {
  const id = Math.random().toString(36).slice(2);
  el.classList.add("samnb-pointer-listener");
  el.tabIndex = 0;
  el.setAttribute("role", "application");
  el.setAttribute("aria-label", "picture: click objects; press ? for keys");
  const ring = document.createElement("div");
  ring.className = "samnb-ring";
  ring.style.display = "none";
  el.append(ring);
  const focus = keepFocus(el);

  // -- one message at a time -------------------------------------------------------------------------------------

  let queue = [];
  let sent = 0, acknowledged = 0, sentAt = 0, lastLazy = 0, timer = 0, busy = 0, lastUrgent = 0;

  const flush = () => {
    clearTimeout(timer);
    timer = 0;
    if (!queue.length) return;
    const events = queue;
    queue = [];
    sentAt = performance.now();
    model.send({ view: id, seq: ++sent, events });
  };

  const waiting = () => sent > acknowledged && performance.now() - sentAt < 10000;

  const schedule = () => {
    if (timer || !queue.length || waiting()) return;
    const wait = LAZY_EVERY_MS - (performance.now() - lastLazy);
    if (wait <= 0) {
      lastLazy = performance.now();
      flush();
    } else {
      timer = setTimeout(() => { timer = 0; lastLazy = performance.now(); if (!waiting()) flush(); }, wait);
    }
  };

  const urgent = (event) => {
    queue.push(event);
    flush();
    lastUrgent = sent;
    clearTimeout(busy);
    busy = setTimeout(sayBusy, BUSY_AFTER_MS);
  };

  // While the sign is there it asks again, with no events: an answer that was lost must not leave it for ever.
  const sayBusy = () => {
    if (acknowledged >= lastUrgent) return;
    el.classList.add("samnb-busy");
    busy = setTimeout(() => {
      if (acknowledged >= lastUrgent) return;
      model.send({ view: id, seq: ++sent, events: [] });
      sayBusy();
    }, ASK_EVERY_MS);
  };

  const lazy = (event) => {
    const last = queue[queue.length - 1];
    if (last && last.event === event.event) {
      if (event.event === "move") event.way = [...last.way, ...event.way];
      if (event.event === "wheel") event.delta += last.delta;
      if (event.event === "pinch")
        event = { ...last, factor: event.factor * last.factor, dx: event.dx + last.dx, dy: event.dy + last.dy };
      queue[queue.length - 1] = event;
    } else {
      queue.push(event);
    }
    schedule();
  };

  const onAnswer = (message) => {
    if (message.view !== id || message.ack === undefined) return;
    acknowledged = Math.max(acknowledged, message.ack);
    if (acknowledged >= lastUrgent) el.classList.remove("samnb-busy");
    schedule();
  };
  model.on("msg:custom", onAnswer);

  // -- the pointer -----------------------------------------------------------------------------------------------

  let pressed = null, space = false, over = false, rect = null, rested = null;

  // Where the canvas is drawn: in a second view of another shape not everywhere.
  const drawn = () => {
    const box = el.getBoundingClientRect(), canvas = el.parentElement?.querySelector("canvas");
    if (!canvas?.width || !canvas.height) return box;
    const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
    const width = scale * canvas.width, height = scale * canvas.height;
    return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
  };
  const at = (e) => {
    rect = rect && pressed !== null ? rect : drawn();
    return { x: (e.clientX - rect.left) / rect.width, y: (e.clientY - rect.top) / rect.height };
  };
  const held = (e) => ({ shift: e.shiftKey, ctrl: e.ctrlKey || e.metaKey, alt: e.altKey, space });
  const hovers = () => model.get("hover") && pressed === null;

  const showRing = (e) => {
    const radius = model.get("ring") * drawn().width;
    if (!radius || !over) { ring.style.display = "none"; return; }
    if (e) {
      const box = el.getBoundingClientRect();
      ring.style.left = `${e.clientX - box.left}px`;
      ring.style.top = `${e.clientY - box.top}px`;
    }
    ring.style.width = ring.style.height = `${2 * radius}px`;
    ring.style.display = "block";
  };

  const on = (name, handler, options) => el.addEventListener(name, handler, options);

  const fingers = twoFingers((place) => at(place), lazy);
  on("pointerdown", (e) => {
    e.preventDefault();
    el.focus({ preventScroll: true });
    if (fingers.down(e) && pressed !== null) {
      // What the first finger began was not meant.
      queue = queue.filter((event) => event.event !== "down" && event.event !== "move");
      urgent({ event: "cancel", ...at(e), ...held(e) });
      pressed = rect = null;
    }
    if (pressed !== null || fingers.active) return;
    over = true;
    rect = null;
    const place = at(e);
    pressed = e.pointerId;
    try { el.setPointerCapture(e.pointerId); } catch { /* a synthetic pointer cannot be captured */ }
    if (e.button === 1 || space) el.style.cursor = "grabbing";
    const down = { event: "down", button: e.button, ...place, ...held(e) };
    // A click is one message: its press travels with its release, or with the first move.
    const paints = ["brush", "erase"].includes(model.get("tool")) && e.pointerType !== "touch";
    if (paints) urgent(down); else queue.push(down);
  });
  on("pointermove", (e) => {
    fingers.move(e);
    if (e.movementX || e.movementY) over = true;
    showRing(e);
    rested = at(e);
    if (pressed === e.pointerId) {
      const all = e.getCoalescedEvents ? e.getCoalescedEvents() : [];
      const way = (all.length ? all : [e]).map((each) => { const p = at(each); return [p.x, p.y]; });
      lazy({ event: "move", way, ...at(e) });
    } else if (hovers() && !fingers.active) {
      lazy({ event: "hover", ...at(e), ...held(e) });
    }
  });
  const release = (kind) => (e) => {
    fingers.up(e);
    if (pressed !== e.pointerId) return;
    const place = at(e);
    pressed = null;
    el.style.cursor = "";
    urgent({ event: kind, button: e.button, ...place, ...held(e) });
  };
  on("pointerup", release("up"));
  on("pointercancel", release("cancel"));
  on("dblclick", (e) => urgent({ event: "double", ...at(e), ...held(e) }));
  on("contextmenu", (e) => { e.preventDefault(); e.stopPropagation(); });
  // With these JupyterLab selects cells and opens editors.
  for (const name of ["mousedown", "mouseup", "click", "dblclick"]) on(name, (e) => e.stopPropagation());
  on("pointerenter", () => { over = true; });
  on("pointerleave", () => {
    over = false;
    ring.style.display = "none";
    if (pressed === null && model.get("hover")) {
      queue = queue.filter((event) => event.event !== "hover");
      lazy({ event: "leave" });
    }
  });
  let wheeled = -1e9;
  on("wheel", (e) => {
    // If zooming out is not possible, the page scrolls; not at once, which a turn of the wheel too far did not mean.
    // Over proposals it goes from part to whole.
    const offers = model.get("tool") === "proposals" && !e.ctrlKey;
    const moment = performance.now() - wheeled < 700;
    if (e.deltaY > 0 && !model.get("zoomed") && !offers && !moment && !e.ctrlKey) return;
    wheeled = performance.now();
    e.preventDefault();
    e.stopPropagation();
    const unit = [1, 16, 400][e.deltaMode] || 1;
    lazy({ event: "wheel", delta: e.deltaY * unit * (e.ctrlKey ? 4 : 1), ctrl: e.ctrlKey, ...at(e) });
  }, { passive: false });

  // -- keys: the page does not get those of the table ---------------------------------------------------------------

  // With Alt, some keyboards write another sign for a digit.
  const nameOf = (e) => (e.altKey && /^Digit\d$/.test(e.code) ? e.code.slice(5) : e.key);
  const wanted = (e) => {
    const name = nameOf(e).toLowerCase(), ctrl = e.ctrlKey || e.metaKey;
    return model.get("keys_kept").some(([key, withCtrl, withShift, withAlt]) =>
      key === name && withCtrl === ctrl && withAlt === e.altKey && (withShift === null || withShift === e.shiftKey));
  };
  const down = new Set();
  const onKey = (e) => {
    if (!el.isConnected || !el.offsetParent || e.isComposing || !focus.keys()) return;
    if (document.querySelector(".samnb-popup")) return; // an open menu has the keys
    if ((e.key === "Enter" || e.key === " ") && focus.pressed()) return;
    if (e.key === " " && !e.ctrlKey && !e.shiftKey && !e.altKey && !e.metaKey) {
      space = true;
      if (pressed === null) el.style.cursor = "grab";
    } else if (wanted(e)) {
      // A key with an effect while it is held: the repeats that a keyboard sends mean nothing.
      const name = nameOf(e).toLowerCase();
      if (model.get("keys_held").includes(name)) {
        e.preventDefault();
        e.stopImmediatePropagation();
        if (down.has(name)) return;
        down.add(name);
      }
      const modifiers = { ctrl: e.ctrlKey || e.metaKey, shift: e.shiftKey, alt: e.altKey };
      urgent({ event: "key", key: nameOf(e), ...modifiers, ...(over && rested) });
    } else {
      return;
    }
    e.preventDefault();
    e.stopImmediatePropagation();
  };
  const letGo = () => {
    for (const key of down) urgent({ event: "key_up", key });
    down.clear();
  };
  const onKeyUp = (e) => {
    if (down.delete(e.key.toLowerCase())) urgent({ event: "key_up", key: e.key.toLowerCase() });
    if (e.key === " " && space) {
      space = false;
      if (pressed === null) el.style.cursor = "";
    }
  };
  // Before JupyterLab's own, which listens on the document in the capture phase; after those of `focus`.
  window.addEventListener("keydown", onKey, true);
  window.addEventListener("keyup", onKeyUp, true);
  window.addEventListener("blur", letGo);

  // -- size of the stage ----------------------------------------------------------------------------------------

  let told = "", settle = 0;
  const measure = () => {
    const box = el.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    // Of several views the one shown last decides.
    const now = box.width ? `${box.width.toFixed(2)} ${box.height.toFixed(2)} ${ratio}` : "";
    if (now === told) return;
    told = now;
    if (!now) return;
    lazy({ event: "size", width: box.width, height: box.height, ratio });
    clearTimeout(settle);
    // Sizes and drawings come in separate messages; a last drawing follows when both are there.
    settle = setTimeout(() => lazy({ event: "settled" }), 400);
  };
  const observer = new ResizeObserver(measure);
  observer.observe(el);
  window.addEventListener("resize", measure);
  const onLook = () => {
    showRing(null);
    const tool = model.get("tool");
    el.dataset.tool = tool;
  };
  model.on("change:ring", onLook);
  model.on("change:tool", onLook);
  onLook();

  return () => {
    model.off("msg:custom", onAnswer);
    focus.stop();
    model.off("change:ring", onLook);
    model.off("change:tool", onLook);
    observer.disconnect();
    window.removeEventListener("resize", measure);
    window.removeEventListener("keydown", onKey, true);
    window.removeEventListener("keyup", onKeyUp, true);
    window.removeEventListener("blur", letGo);
    for (const each of [timer, busy, settle]) clearTimeout(each);
  };
}

export default { initialize, render };
