// Draws over the stage what moves without the kernel: the dashes of the mask being edited, the crosshair, and the map of
// the whole picture while only a part is in view.

const SVG = "http://www.w3.org/2000/svg";

function render({ model, el }) {
  el.classList.add("samnb-overlay");
  const svg = document.createElementNS(SVG, "svg");
  const dashes = document.createElementNS(SVG, "path");
  dashes.setAttribute("class", "samnb-dashes");
  svg.append(dashes);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const across = document.createElement("div"), down = document.createElement("div");
  across.className = "samnb-cross samnb-across";
  down.className = "samnb-cross samnb-down";
  const map = document.createElement("div"), picture = document.createElement("img"), part = document.createElement("div");
  const zoom = document.createElement("div");
  map.className = "samnb-map";
  map.title = "The whole picture: click or drag to go there";
  part.className = "samnb-part";
  zoom.className = "samnb-zoom";
  picture.alt = "";
  picture.draggable = false;
  map.append(picture, part);
  el.append(svg, across, down, map, zoom);

  const drawDashes = () => {
    const [width, height] = model.get("size");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    dashes.setAttribute("d", model.get("dashes"));
  };
  let address = "";
  const drawPicture = () => {
    if (address) URL.revokeObjectURL(address);
    const bytes = model.get("picture");
    address = bytes && bytes.byteLength ? URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })) : "";
    if (address) picture.src = address;
  };
  const drawMap = () => {
    const seen = model.get("visible"), text = model.get("zoom");
    zoom.textContent = text;
    zoom.style.display = text ? "" : "none";
    map.style.display = seen.length && address ? "" : "none";
    if (!seen.length) return;
    const [x0, y0, x1, y1] = seen;
    Object.assign(part.style, {
      left: `${100 * x0}%`, top: `${100 * y0}%`, width: `${100 * (x1 - x0)}%`, height: `${100 * (y1 - y0)}%`,
    });
  };

  let held = false;
  const go = (e) => {
    const box = map.getBoundingClientRect();
    const inside = (at, from, size) => Math.min(Math.max((at - from) / size, 0), 1);
    model.send({ center: [inside(e.clientX, box.left, box.width), inside(e.clientY, box.top, box.height)] });
  };
  map.addEventListener("pointerdown", (e) => {
    if (e.button) return;
    e.preventDefault();
    e.stopPropagation();
    held = true;
    try { map.setPointerCapture(e.pointerId); } catch { /* a synthetic pointer cannot be captured */ }
    go(e);
  });
  let last = 0;
  map.addEventListener("pointermove", (e) => {
    if (!held || performance.now() - last < 30) return;
    last = performance.now();
    go(e);
  });
  for (const name of ["pointerup", "pointercancel"]) map.addEventListener(name, () => { held = false; });

  let stage = null;
  const hide = () => { across.style.display = down.style.display = "none"; };
  const follow = (e) => {
    if (!model.get("crosshair")) return hide();
    const box = el.getBoundingClientRect();
    const x = e.clientX - box.left, y = e.clientY - box.top;
    const out = x < 0 || y < 0 || x > box.width || y > box.height;
    across.style.display = down.style.display = out ? "none" : "block";
    across.style.top = `${y}px`;
    down.style.left = `${x}px`;
  };
  const start = () => {
    stage = el.closest(".samnb-stage");
    if (!stage) return requestAnimationFrame(start);
    stage.addEventListener("pointermove", follow, { passive: true });
    stage.addEventListener("pointerleave", hide);
  };
  start();
  hide();
  drawDashes();
  drawPicture();
  drawMap();
  model.on("change:dashes change:size", drawDashes);
  model.on("change:picture", () => { drawPicture(); drawMap(); });
  model.on("change:visible change:zoom", drawMap);
  model.on("change:crosshair", hide);
  return () => {
    if (address) URL.revokeObjectURL(address);
    stage?.removeEventListener("pointermove", follow);
    stage?.removeEventListener("pointerleave", hide);
  };
}

export default { initialize, render };
