// A menu at the pointer. It hangs on the page and not on the annotator, which cuts off what is larger than itself.

function render({ model, el }) {
  el.classList.add("samnb-popup-home");
  const root = () => el.closest(".samnb");
  let popup = null, place = null, active = -1;

  // In the view that was used last, of several.
  let used = 0;
  const note = (e) => {
    if (root()?.contains(e.target)) {
      used = performance.now();
      if (e.type === "pointerdown") place = [e.clientX, e.clientY];
    }
  };
  window.addEventListener("pointerdown", note, true);
  window.addEventListener("keydown", note, true);

  const close = (focus) => {
    if (!popup) return;
    popup.remove();
    popup = null;
    window.removeEventListener("pointerdown", onOutside, true);
    window.removeEventListener("wheel", onOutside, true);
    window.removeEventListener("resize", onResize);
    if (focus) root()?.querySelector(".samnb-pointer-listener")?.focus({ preventScroll: true });
  };
  const onOutside = (e) => { if (!popup.contains(e.target)) close(false); };
  const onResize = () => close(false);

  const choose = (text) => {
    close(true);
    model.send({ chosen: text });
  };

  const item = ({ text, key, color, enabled }, shown = text) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "menuitem");
    button.disabled = !enabled;
    button.tabIndex = -1;
    if (color) {
      const dot = document.createElement("span");
      dot.className = "samnb-dot";
      dot.style.background = color;
      button.append(dot);
    }
    const name = document.createElement("span");
    name.className = "samnb-text";
    name.textContent = shown;
    const hint = document.createElement("span");
    hint.className = "samnb-dim";
    hint.textContent = key || "";
    button.append(name, hint);
    button.addEventListener("click", () => choose(text));
    return button;
  };

  const open = () => {
    const home = root();
    if (!home || !home.offsetParent || performance.now() - used > 30000) return;
    close(false);
    popup = document.createElement("div");
    popup.className = "samnb samnb-popup";
    const title = document.createElement("div");
    title.className = "samnb-label";
    title.textContent = model.get("title");
    const list = document.createElement("div");
    list.setAttribute("role", "menu");
    list.setAttribute("aria-label", model.get("title"));
    popup.append(title);
    let field = null;
    const fill = () => {
      const wanted = field ? field.value.trim().toLowerCase() : "";
      const found = model.get("items").filter(({ text }) => text.toLowerCase().includes(wanted));
      // What begins with it comes first.
      if (wanted) found.sort((a, b) => b.text.toLowerCase().startsWith(wanted) - a.text.toLowerCase().startsWith(wanted));
      const lines = found.map((each) => item(each));
      if (wanted && !found.some(({ text }) => text.toLowerCase() === wanted))
        lines.push(item({ text: field.value.trim(), enabled: true, key: "new" }));
      list.replaceChildren(...lines);
      move(0, field ? "mark" : "focus");
    };
    const enabled = () => [...list.children].filter((each) => !each.disabled);
    const move = (to, how) => {
      const lines = enabled();
      active = lines.length ? (to + lines.length) % lines.length : -1;
      lines.forEach((each, i) => each.classList.toggle("samnb-active", field !== null && i === active));
      if (active < 0) return;
      if (how === "focus") lines[active].focus({ preventScroll: true });
      lines[active].scrollIntoView({ block: "nearest" });
    };
    if (model.get("searches")) {
      field = document.createElement("input");
      field.placeholder = "search, or a new name";
      field.setAttribute("aria-label", "search categories");
      field.addEventListener("input", fill);
      popup.append(field);
    }
    popup.append(list);
    popup.addEventListener("keydown", (e) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
      e.stopPropagation();
      if (e.key === "Escape" || e.key === "Tab") {
        e.preventDefault();
        close(true);
      } else if (step) {
        e.preventDefault();
        const focused = enabled().indexOf(document.activeElement);
        move((field ? active : focused) + step, field ? "mark" : "focus");
      } else if (e.key === "Enter" && field) {
        e.preventDefault();
        enabled()[active]?.click();
      } else if (!field && e.key.length === 1 && !e.ctrlKey && !e.metaKey) {
        e.preventDefault();
        const own = enabled().find((each) => each.lastChild.textContent.toLowerCase() === e.key.toLowerCase());
        own?.click();
      }
    });
    popup.addEventListener("contextmenu", (e) => e.preventDefault());
    (document.fullscreenElement || document.body).append(popup);
    fill();
    const stage = home.querySelector(".samnb-stage")?.getBoundingClientRect();
    const [x, y] = place || [stage.left + stage.width / 2, stage.top + stage.height / 2];
    const box = popup.getBoundingClientRect();
    popup.style.left = `${Math.max(4, Math.min(x, window.innerWidth - box.width - 4))}px`;
    popup.style.top = `${Math.max(4, Math.min(y, window.innerHeight - box.height - 4))}px`;
    if (field) field.focus({ preventScroll: true });
    window.addEventListener("pointerdown", onOutside, true);
    window.addEventListener("wheel", onOutside, true);
    window.addEventListener("resize", onResize);
  };
  model.on("change:version", open);

  return () => {
    close(false);
    model.off("change:version", open);
    window.removeEventListener("pointerdown", note, true);
    window.removeEventListener("keydown", note, true);
  };
}

export default { initialize, render };
