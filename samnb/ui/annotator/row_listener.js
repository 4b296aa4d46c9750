// Reports the row of a list under the pointer, its menu, and clicks with Shift or Ctrl; scrolls a row into view.

const EVERY_MS = 40;

function render({ model, el }) {
  el.classList.add("samnb-row-listener");
  let list = null, over = -1, told = -1, timer = 0;
  const rows = () => [...list.querySelectorAll(":scope > .samnb-entry")];
  const rowOf = (e) => rows().findIndex((row) => row.contains(e.target));
  const tell = () => {
    timer = 0;
    if (over === told) return;
    told = over;
    model.send({ over });
  };
  const onOver = (e) => {
    over = e.type === "pointerleave" ? -1 : rowOf(e);
    if (!timer) timer = setTimeout(tell, EVERY_MS);
  };
  const onMenu = (e) => {
    const row = rowOf(e);
    if (row < 0) return;
    e.preventDefault();
    e.stopPropagation();
    model.send({ menu: row });
  };
  const onClick = (e) => {
    const row = rowOf(e);
    if (row < 0 || !(e.shiftKey || e.ctrlKey || e.metaKey)) return;
    e.preventDefault();
    e.stopPropagation();
    model.send({ more: row });
  };
  const onDouble = (e) => {
    const row = rowOf(e);
    if (row >= 0 && e.target.closest(".samnb-chip")) model.send({ edit: row });
  };
  const onMessage = ({ reveal }) => {
    const row = reveal === undefined ? null : rows()[reveal];
    if (!row) return;
    // Not scrollIntoView, which scrolls the page too.
    const [outer, inner] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
    if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top;
    if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
  };
  model.on("msg:custom", onMessage);
  const start = () => {
    list = el.parentElement?.querySelector(".samnb-list");
    if (!list) return requestAnimationFrame(start);
    list.addEventListener("pointerover", onOver);
    list.addEventListener("pointerleave", onOver);
    list.addEventListener("contextmenu", onMenu);
    list.addEventListener("click", onClick, true);
    list.addEventListener("dblclick", onDouble);
  };
  start();
  return () => {
    clearTimeout(timer);
    model.off("msg:custom", onMessage);
    list?.removeEventListener("pointerover", onOver);
    list?.removeEventListener("pointerleave", onOver);
    list?.removeEventListener("contextmenu", onMenu);
    list?.removeEventListener("click", onClick, true);
    list?.removeEventListener("dblclick", onDouble);
  };
}

export default { initialize, render };
