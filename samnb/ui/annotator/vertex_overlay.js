// Draws vertices over the stage, and what a drag of the polygon tool or the lasso does, without the kernel: a frame
// never waits for it. The kernel gets the same drag from the pointer listener and answers with the new vertices.

const NEAR = 9, EDGE = 7, DRAG = 5, MANY = 300;

function render({ model, el }) {
  el.classList.add("samnb-vertices");
  // Styles and scripts that mean the canvas of the stage do not find these.
  const shadow = el.shadowRoot || el.attachShadow({ mode: "closed" });
  const layer = () => {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    canvas.style.cssText = "position: absolute; inset: 0; width: 100%; height: 100%;";
    shadow.append(canvas);
    return canvas.getContext("2d");
  };
  // Below what stands still, drawn once; above what follows the pointer, drawn for each frame.
  const still = layer(), moving = layer();
  let stage = null, rings = [], frame = 0, stale = true, pressed = null, grabbed = null, way = null, pointer = null;

  // -- what is shown: rings as flat lists of x, y in CSS pixels of the stage -----------------------------------------

  const read = () => {
    const bytes = model.get("points");
    const flat = bytes?.byteLength
      ? new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)) : [];
    const [scale, left, top, width] = model.get("view");
    const factor = width ? (el.clientWidth || width) / width : 1;
    let start = 0;
    rings = model.get("lengths").map((length) => {
      const ring = new Float32Array(2 * length);
      for (let i = 0; i < length; i++) {
        ring[2 * i] = (flat[2 * (start + i)] * scale + left) * factor;
        ring[2 * i + 1] = (flat[2 * (start + i) + 1] * scale + top) * factor;
      }
      start += length;
      return ring;
    });
  };

  // The vertices that a drag joins to the one it moves.
  const neighbours = ({ ring, index, insert }) => {
    const count = rings[ring].length / 2;
    return [(index + count - (insert ? 0 : 1)) % count, (index + 1) % count];
  };
  const corner = (ring, index) => [rings[ring][2 * index], rings[ring][2 * index + 1]];

  const line = (context, points, closed) => {
    for (let i = 0; i < points.length; i += 2)
      i ? context.lineTo(points[i], points[i + 1]) : context.moveTo(points[i], points[i + 1]);
    if (closed) context.closePath();
  };
  const stroke = (context, color, width) => {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.stroke();
  };
  const clear = (context) => {
    const ratio = window.devicePixelRatio || 1, width = el.clientWidth, height = el.clientHeight;
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (context.canvas.width !== size[0] || context.canvas.height !== size[1])
      [context.canvas.width, context.canvas.height] = size;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.lineJoin = "round";
  };

  const drawStill = () => {
    stale = false;
    clear(still);
    if (!rings.length) return;
    const color = model.get("color"), open = model.get("still_open"), moved = grabbed?.moved ? grabbed : null;
    still.beginPath();
    rings.forEach((ring, number) => {
      if (moved?.ring !== number) return line(still, ring, !open);
      // All edges but those that the drag moves.
      const [before, after] = neighbours(moved);
      if (open) {
        line(still, ring.subarray(0, 2 * moved.index), false);
        line(still, ring.subarray(2 * moved.index + 2), false);
      } else if (after <= before) {
        line(still, ring.subarray(2 * after, 2 * before + 2), false);
      } else {
        line(still, [...ring.subarray(2 * after), ...ring.subarray(0, 2 * before + 2)], false);
      }
    });
    stroke(still, "#ffffff", 3.5);
    stroke(still, color, 1.75);
    const count = rings.reduce((sum, ring) => sum + ring.length / 2, 0), side = count > MANY ? 5 : 7;
    still.beginPath();
    rings.forEach((ring, number) => {
      for (let i = 0; i < ring.length; i += 2)
        if (moved?.ring !== number || moved.insert || 2 * moved.index !== i)
          still.rect(ring[i] - side / 2, ring[i + 1] - side / 2, side, side);
    });
    still.fillStyle = "#ffffff";
    still.fill();
    stroke(still, color, 1.25);
  };

  const draw = () => {
    frame = 0;
    if (stale) drawStill();
    clear(moving);
    const color = model.get("color"), open = model.get("still_open");
    if (way) {
      const shade = way.away ? "#d93f3f" : color;
      moving.setLineDash([5, 4]);
      moving.beginPath();
      line(moving, way.points, true);
      moving.globalAlpha = 0.15;
      moving.fillStyle = shade;
      moving.fill();
      moving.globalAlpha = 1;
      stroke(moving, "#ffffff", 3.5);
      stroke(moving, shade, 1.75);
      moving.setLineDash([]);
    }
    if (!rings.length) return;
    if (grabbed?.moved && rings[grabbed.ring]) {
      const count = rings[grabbed.ring].length / 2, [before, after] = neighbours(grabbed);
      const first = !(open && grabbed.index === 0), last = !(open && grabbed.index === count - 1);
      moving.beginPath();
      line(moving, [
        ...(first ? corner(grabbed.ring, before) : []), grabbed.x, grabbed.y,
        ...(last ? corner(grabbed.ring, after) : []),
      ], false);
      stroke(moving, "#ffffff", 3.5);
      stroke(moving, color, 1.75);
    } else if (open && pointer && !grabbed) {
      moving.beginPath();
      line(moving, [...rings[0].subarray(-2), ...pointer], false);
      moving.setLineDash([5, 4]);
      stroke(moving, color, 1.5);
      moving.setLineDash([]);
    }
    const hot = grabbed ? [grabbed.x, grabbed.y] : pointer && under(pointer)?.place;
    if (hot) {
      moving.beginPath();
      moving.arc(hot[0], hot[1], 6.5, 0, 2 * Math.PI);
      moving.fillStyle = color;
      moving.fill();
      stroke(moving, "#ffffff", 1.75);
    }
  };
  const schedule = () => { if (!frame) frame = requestAnimationFrame(draw); };

  // -- what is under the pointer: as the kernel decides it -------------------------------------------------------------

  const under = ([x, y]) => {
    let best = NEAR, found = null;
    rings.forEach((ring, number) => {
      for (let i = 0; i < ring.length; i += 2) {
        const away = Math.hypot(ring[i] - x, ring[i + 1] - y);
        if (away <= best) {
          best = away;
          found = { ring: number, index: i / 2, insert: false, place: [ring[i], ring[i + 1]] };
        }
      }
    });
    if (found || model.get("still_open")) return found;
    best = EDGE;
    rings.forEach((ring, number) => {
      for (let i = 0; i < ring.length; i += 2) {
        const next = (i + 2) % ring.length, dx = ring[next] - ring[i], dy = ring[next + 1] - ring[i + 1];
        const share = Math.min(Math.max(((x - ring[i]) * dx + (y - ring[i + 1]) * dy) / (dx * dx + dy * dy || 1), 0), 1);
        const place = [ring[i] + share * dx, ring[i + 1] + share * dy];
        const away = Math.hypot(place[0] - x, place[1] - y);
        if (away <= best) {
          best = away;
          found = { ring: number, index: i / 2, insert: true, place };
        }
      }
    });
    return found;
  };

  const at = (e) => {
    const box = el.getBoundingClientRect();
    return [e.clientX - box.left, e.clientY - box.top];
  };
  // Vertices stay on the picture.
  const inside = ([x, y]) => {
    const [scale, left, top, width] = model.get("view"), [across, down] = model.get("size");
    const factor = width ? el.clientWidth / width : 1;
    const within = (value, start, length) =>
      Math.min(Math.max(value, start * factor), (start + length * scale) * factor);
    return [within(x, left, across), within(y, top, down)];
  };
  // With the space bar or the middle button the picture moves.
  const moves = () => stage.querySelector(".samnb-pointer-listener")?.style.cursor.startsWith("grab");

  const forget = () => {
    pressed = grabbed = way = null;
    stale = true;
    schedule();
  };

  const onDown = (e) => {
    const tool = model.get("tool");
    if (pressed !== null) return forget();  // a second finger
    if (!["polygon", "lasso"].includes(tool) || e.button === 1 || moves()) return;
    pointer = at(e);
    const away = e.shiftKey || e.altKey || e.button === 2 || e.ctrlKey;
    if (tool === "lasso") {
      pressed = e.pointerId;
      way = { points: inside(pointer), away };
    } else if (!away) {
      const found = under(pointer);
      if (found) {
        pressed = e.pointerId;
        grabbed = { ...found, x: found.place[0], y: found.place[1], start: pointer, moved: false };
      }
    }
    schedule();
  };
  const onMove = (e) => {
    const tool = model.get("tool");
    if (!["polygon", "lasso"].includes(tool)) return;
    pointer = at(e);
    if (pressed === e.pointerId && way) {
      for (const each of e.getCoalescedEvents?.() || []) way.points.push(...inside(at(each)));
      way.points.push(...inside(pointer));
    } else if (pressed === e.pointerId && grabbed) {
      const far = Math.max(Math.abs(pointer[0] - grabbed.start[0]), Math.abs(pointer[1] - grabbed.start[1]));
      stale = stale || (!grabbed.moved && far >= DRAG);
      grabbed.moved = grabbed.moved || far >= DRAG;
      if (grabbed.moved) [grabbed.x, grabbed.y] = inside(pointer);
    }
    schedule();
  };
  const onUp = (e) => {
    if (pressed !== e.pointerId) return;
    pressed = null;
    // What was dragged stays until the kernel answers.
    if (grabbed && !grabbed.moved) grabbed = null;
    if (way && way.points.length < 6) way = null;
    schedule();
  };
  const onLeave = () => { if (pressed === null) { pointer = null; schedule(); } };

  const start = () => {
    stage = el.closest(".samnb-stage");
    if (!stage) return requestAnimationFrame(start);
    stage.addEventListener("pointerdown", onDown);
    stage.addEventListener("pointermove", onMove);
    stage.addEventListener("pointerup", onUp);
    stage.addEventListener("pointercancel", forget);
    stage.addEventListener("pointerleave", onLeave);
  };
  start();

  const onNews = () => {
    read();
    stale = true;
    // A drag that goes on belongs to vertices that are no longer there.
    if (pressed === null || (grabbed && !rings[grabbed.ring])) grabbed = way = null;
    schedule();
  };
  model.on("change:version", onNews);
  const observer = new ResizeObserver(() => {
    read();
    stale = true;
    schedule();
  });
  observer.observe(el);
  read();
  schedule();

  return () => {
    model.off("change:version", onNews);
    observer.disconnect();
    cancelAnimationFrame(frame);
    stage?.removeEventListener("pointerdown", onDown);
    stage?.removeEventListener("pointermove", onMove);
    stage?.removeEventListener("pointerup", onUp);
    stage?.removeEventListener("pointercancel", forget);
    stage?.removeEventListener("pointerleave", onLeave);
  };
}

export default { initialize, render };
