// Files that are dropped on the annotator go to the kernel, in pieces: one message of a large file would close the
// connection. A piece waits until the kernel has the one before.

const PIECE = 2 * 1024 * 1024;

function render({ model, el }) {
  el.classList.add("samnb-drop-listener");
  let home = null, next = null;
  const hasFiles = (e) => [...(e.dataTransfer?.types || [])].includes("Files");
  const take = (e) => {
    if (!hasFiles(e)) return false;
    e.preventDefault();
    e.stopPropagation();
    return true;
  };
  const onOver = (e) => {
    if (!take(e)) return;
    e.dataTransfer.dropEffect = "copy";
    home.classList.add("samnb-dropping");
  };
  const onLeave = (e) => { if (!home.contains(e.relatedTarget)) home.classList.remove("samnb-dropping"); };
  const onDrop = async (e) => {
    if (!take(e)) return;
    home.classList.remove("samnb-dropping");
    const files = [...e.dataTransfer.files];
    for (const [place, file] of files.entries()) {
      const pieces = Math.max(1, Math.ceil(file.size / PIECE));
      for (let piece = 0; piece < pieces; piece++) {
        const bytes = await file.slice(piece * PIECE, (piece + 1) * PIECE).arrayBuffer();
        const answered = new Promise((go) => { next = go; });
        const last = place === files.length - 1 && piece === pieces - 1;
        model.send({ name: file.name, begins: piece === 0, first: place === 0 && piece === 0, last }, undefined, [bytes]);
        await answered;
      }
    }
  };
  const onAnswer = (message) => { if (message.taken) next?.(); };
  model.on("msg:custom", onAnswer);
  const start = () => {
    home = el.closest(".samnb");
    if (!home) return requestAnimationFrame(start);
    home.addEventListener("dragover", onOver, true);
    home.addEventListener("dragleave", onLeave, true);
    home.addEventListener("drop", onDrop, true);
  };
  start();
  return () => {
    model.off("msg:custom", onAnswer);
    home?.removeEventListener("dragover", onOver, true);
    home?.removeEventListener("dragleave", onLeave, true);
    home?.removeEventListener("drop", onDrop, true);
  };
}

export default { initialize, render };
