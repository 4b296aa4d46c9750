// Two fingers on a touch screen: both together move the picture, and what is between them grows with their distance.

function twoFingers(at, tell) {
  const places = new Map();
  let before = null;
  const now = () => {
    const [a, b] = [...places.values()];
    const [p, q] = [a, b].map(at);
    return { x: (p.x + q.x) / 2, y: (p.y + q.y) / 2, span: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) };
  };
  const place = (e) => places.set(e.pointerId, { clientX: e.clientX, clientY: e.clientY });
  return {
    // True while there are two, and until both are lifted.
    get active() { return before !== null; },
    down: (e) => {
      if (e.pointerType !== "touch" || places.size > 1) return false;
      place(e);
      if (places.size === 2) before = now();
      return places.size === 2;
    },
    move: (e) => {
      if (!places.has(e.pointerId)) return;
      place(e);
      if (places.size < 2) return;
      const next = now();
      const factor = next.span > 20 && before.span > 20 ? next.span / before.span : 1;
      tell({ event: "pinch", factor, x: before.x, y: before.y, dx: next.x - before.x, dy: next.y - before.y });
      before = next;
    },
    up: (e) => {
      places.delete(e.pointerId);
      if (!places.size) before = null;
    },
  };
}
