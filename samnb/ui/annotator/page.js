// What the annotator does with the page around it: as high as the room there is, a tab of its own, fullscreen, and a word
// when the kernel is gone. Nothing of it needs the kernel.

const GONE = ["restarting", "autorestarting", "dead", "terminating", "unknown"];
// The parts of front ends that scroll with a fixed height.
const SCROLLERS = ".jp-WindowedPanel-outer, .jp-LinkedOutputView, .jp-Notebook, #site";
const MARGIN = 10, LEAST = 180;

function render({ model, el }) {
  el.classList.add("samnb-page");
  let home = null, grid = null, stage = null, stopped = false, stopWatching = () => {};

  // -- as high as there is room --------------------------------------------------------------------------------------

  const ownTab = () => home.closest(".samnb-tab");
  const room = () => {
    if (document.fullscreenElement === home) return innerHeight;
    if (ownTab()) return ownTab().clientHeight - 4;
    const around = home.closest(SCROLLERS)?.clientHeight;
    // A frame of its own is as high as what is in it, which says nothing about the screen.
    const most = window.parent === window ? innerHeight : Math.min(innerHeight, 0.72 * screen.availHeight);
    return Math.min(around || most, innerHeight) - MARGIN;
  };
  const fit = () => {
    if (!home?.offsetParent && document.fullscreenElement !== home) return;
    const style = getComputedStyle(home);
    const edges = ["paddingTop", "paddingBottom", "borderTopWidth", "borderBottomWidth"]
      .reduce((sum, name) => sum + parseFloat(style[name]), 0);
    const rest = grid.getBoundingClientRect().height - stage.getBoundingClientRect().height + edges;
    const height = Math.max(LEAST, Math.floor(room() - rest));
    if (Math.abs(height - parseFloat(grid.style.getPropertyValue("--samnb-stage-height") || 0)) >= 1)
      grid.style.setProperty("--samnb-stage-height", `${height}px`);
  };
  const sizes = new ResizeObserver(() => requestAnimationFrame(fit));

  // -- a tab of its own, fullscreen ----------------------------------------------------------------------------------

  const say = (text) => model.send({ say: text });
  const toTab = async () => {
    if (ownTab()) return; // closing a tab is what its cross is for
    const context = model.widget_manager?.context;
    if (!context?.addSibling) return say("this front end opens no tabs: take fullscreen");
    const root = await model.widget_manager.get_model(model.get("root").replace(/^IPY_MODEL_/, ""));
    const { luminoWidget } = await model.widget_manager.create_view(root);
    // In a plain panel of Lumino's, of which the annotator's is a kind: ipywidgets would undo the size of the tab itself.
    const tab = new (Object.getPrototypeOf(luminoWidget.constructor))();
    tab.addClass("samnb-tab");
    tab.addWidget(luminoWidget);
    tab.title.label = model.get("title");
    tab.title.closable = true;
    context.addSibling(tab, { mode: "tab-after" });
    if (!tab.isAttached) {
      tab.dispose();
      return say("this front end opens no tabs: take fullscreen");
    }
    home.classList.add("samnb-elsewhere");
    const back = () => {
      home.classList.remove("samnb-elsewhere");
      requestAnimationFrame(fit);
    };
    tab.disposed.connect(back);
    home.querySelector(":scope > .samnb-page-back")?.remove();
    const button = document.createElement("button");
    button.className = "samnb-button samnb-page-back";
    button.textContent = "The annotator is in a tab of its own: bring it back";
    button.onclick = () => { tab.dispose(); button.remove(); };
    tab.disposed.connect(() => button.remove());
    home.append(button);
  };
  const toFullscreen = async () => {
    if (document.fullscreenElement) return document.exitFullscreen();
    try {
      await home.requestFullscreen();
    } catch (error) {
      say(`this front end allows no fullscreen (${error.message})`);
    }
  };
  const onClick = (e) => {
    if (e.target.closest?.(".samnb-to-tab")) toTab();
    if (e.target.closest?.(".samnb-to-fullscreen")) toFullscreen();
  };

  // -- the kernel --------------------------------------------------------------------------------------------------------

  const watchKernel = () => {
    const session = model.widget_manager?.context?.sessionContext;
    if (!session?.statusChanged) return;
    // A kernel that comes back is another one: this annotator stays without.
    const onStatus = () => {
      if (GONE.includes(session.session?.kernel?.status ?? "dead")) home.classList.add("samnb-kernel-gone");
    };
    session.statusChanged.connect(onStatus);
    session.kernelChanged.connect(onStatus);
    stopWatching = () => {
      session.statusChanged.disconnect(onStatus);
      session.kernelChanged.disconnect(onStatus);
    };
  };

  // Another kernel may have changed what is shown meanwhile, and says nothing.
  const onCome = () => { if (!document.hidden) model.send({ came: true }); };

  const start = () => {
    if (stopped) return;
    home = el.closest(".samnb");
    grid = el.closest(".samnb-annotator");
    stage = grid?.querySelector(".samnb-stage");
    if (!home || !stage) return requestAnimationFrame(start);
    home.addEventListener("click", onClick);
    home.addEventListener("pointerenter", onCome);
    document.addEventListener("visibilitychange", onCome);
    document.addEventListener("fullscreenchange", fit);
    window.addEventListener("resize", fit);
    for (const each of [home, home.closest(SCROLLERS), ...grid.children])
      if (each && !each.contains(stage)) sizes.observe(each);
    sizes.observe(home);
    watchKernel();
    fit();
  };
  start();

  return () => {
    stopped = true;
    sizes.disconnect();
    stopWatching();
    home?.removeEventListener("click", onClick);
    home?.removeEventListener("pointerenter", onCome);
    document.removeEventListener("visibilitychange", onCome);
    document.removeEventListener("fullscreenchange", fit);
    window.removeEventListener("resize", fit);
  };
}

export default { initialize, render };
