"""The style sheet of all widgets. Text only; colours of surfaces and text are JupyterLab's theme variables, so light
and dark follow the theme. The second value of each `var()` is for pages without JupyterLab."""

from __future__ import annotations

from ... import cards

_THEME = f"""
.samnb {{ --samnb-text: {cards.TEXT}; --samnb-dim: {cards.TEXT_SECONDARY}; --samnb-line: {cards.BORDER};
  --samnb-sunk: {cards.BACKGROUND_ALT}; --samnb-face: {cards.BACKGROUND}; }}
"""

_BASE = """
.samnb {
  --samnb-accent: #1976d2; --samnb-on-accent: #fff; --samnb-gap: 8px; --samnb-radius: 4px;
  --samnb-bad: var(--jp-error-color1, #c62828);
  /* JupyterLab's second colour of text is too faint on grey. */
  --samnb-dim: color-mix(in srgb, var(--samnb-text) 76%, transparent);
  box-sizing: border-box; max-width: 100%; overflow: hidden; margin: 2px; padding: 10px 12px; position: relative;
  border: 1px solid var(--samnb-line); border-radius: 6px; background: var(--samnb-face);
  color: var(--samnb-text); font-family: var(--jp-ui-font-family, system-ui, sans-serif);
  font-size: var(--jp-ui-font-size1, 13px); line-height: 20px;
}
[data-jp-theme-light="false"] .samnb { --samnb-accent: #64b5f6; --samnb-on-accent: #10202e; }
/* JupyterLab's arrow of lists is dark in both themes. */
[data-jp-theme-light="false"] .samnb select { background-image: url("data:image/svg+xml,%3Csvg \
xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath fill='none' stroke='%23ddd' stroke-width='2' \
d='M5 7l4 4 4-4'/%3E%3C/svg%3E"); }
.samnb .widget-html, .samnb .widget-html-content { margin: 0; height: auto; line-height: 20px; font-size: inherit;
  color: inherit; overflow: hidden; }
.samnb .widget-html-content { width: 100%; }
.samnb .samnb-sheet { display: none; }
.samnb .samnb-row { display: flex; flex-flow: row wrap; align-items: center; gap: var(--samnb-gap); overflow: hidden;
  /* space for the focus ring, which a box with hidden overflow would cut */ padding: 3px; margin: 0 -3px; }
.samnb .samnb-spread { display: flex; flex-flow: row wrap; justify-content: space-between; gap: 0 16px; }
.samnb .samnb-status { display: flex; justify-content: space-between; gap: 16px; white-space: nowrap; }
.samnb .samnb-status .samnb-number { flex: none; }
.samnb .samnb-status .samnb-clip { min-width: 0; }
.samnb .samnb-dim { color: var(--samnb-dim); }
.samnb .samnb-strong { font-weight: 600; }
.samnb .samnb-number { font-variant-numeric: tabular-nums; }
.samnb .samnb-clip { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.samnb .samnb-label { color: var(--samnb-dim); font-size: 11px; letter-spacing: .04em; text-transform: uppercase; }
"""

_CONTROLS = """
.samnb .samnb-button { display: inline-flex; align-items: center; justify-content: center; width: auto; height: 28px;
  line-height: 1; margin: 0; padding: 0 10px; flex: none; gap: 6px; max-width: 100%;
  font-size: inherit; border: 1px solid var(--samnb-line); border-radius: var(--samnb-radius); box-shadow: none;
  background: transparent; color: var(--samnb-text); font-variant-numeric: tabular-nums; }
.samnb .samnb-button:hover:enabled { background: var(--samnb-sunk); box-shadow: none; }
.samnb .samnb-button:focus-visible, .samnb input:focus-visible, .samnb select:focus-visible,
.samnb .noUi-handle:focus-visible { outline: 2px solid var(--samnb-accent) !important; outline-offset: 1px; }
.samnb .samnb-stage:focus-visible { outline: 2px solid var(--samnb-accent); outline-offset: -2px; }
.samnb .samnb-button:disabled { opacity: .4; }
.samnb .samnb-button.samnb-icon { width: 30px; padding: 0; }
.samnb .samnb-button.samnb-plain { border-color: transparent; color: var(--samnb-dim); width: 26px; height: 26px;
  padding: 0; }
.samnb .samnb-button.samnb-primary, .samnb .samnb-button.samnb-primary:hover:enabled {
  background: var(--samnb-accent); border-color: var(--samnb-accent); color: var(--samnb-on-accent); flex: 1 1 auto; }
.samnb .samnb-button.samnb-chosen { border-color: var(--samnb-accent); box-shadow: inset 0 0 0 1px var(--samnb-accent);
  font-weight: 600; }
.samnb .samnb-grow { flex: 1 1 0; }
.samnb .samnb-button.samnb-grow { padding: 0 4px; }
.samnb .samnb-button.samnb-tight { flex: 1 1 auto; padding: 0 3px; font-size: 12px; }
.samnb .samnb-button i { margin: 0; }
.samnb .samnb-chip::before, .samnb .samnb-dot { content: ""; display: inline-block; width: 10px; height: 10px;
  flex: none; border-radius: 50%; background: var(--samnb-dim); box-shadow: 0 0 0 1px rgba(128, 128, 128, .5); }
.samnb .samnb-dot { margin-right: 6px; }
.samnb .widget-text, .samnb .widget-dropdown, .samnb .widget-hslider, .samnb .widget-checkbox,
.samnb .widget-colorpicker { margin: 0; height: 28px; min-height: 28px; }
.samnb .widget-text input, .samnb .widget-dropdown > select { height: 28px; border-radius: var(--samnb-radius);
  font-size: inherit; }
.samnb .samnb-new { width: 112px; }
.samnb .widget-label { font-size: inherit; color: var(--samnb-dim); }
.samnb .widget-hslider .widget-label { width: auto; min-width: 0; margin-right: 8px; }
.samnb .widget-readout { min-width: 34px; }
.samnb .samnb-tools { gap: 4px 7px; }
.samnb .samnb-group { display: flex; flex-flow: row nowrap; flex: none; overflow: hidden; padding: 3px; margin: -3px; }
.samnb .samnb-group .samnb-button { border-radius: 0; margin-left: -1px; }
.samnb .samnb-group .samnb-button:first-child { border-radius: var(--samnb-radius) 0 0 var(--samnb-radius);
  margin-left: 0; }
.samnb .samnb-group .samnb-button:last-child { border-radius: 0 var(--samnb-radius) var(--samnb-radius) 0; }
.samnb .samnb-group .samnb-button:only-child { border-radius: var(--samnb-radius); }
.samnb .samnb-group .samnb-button:is(:focus-visible, .samnb-chosen) { z-index: 1; position: relative; }
.samnb .samnb-push { margin-left: auto; }
.samnb .samnb-extra { display: flex; flex-flow: row nowrap; align-items: center; gap: 10px; flex: none;
  overflow: hidden; padding: 3px; margin: -3px; }
/* In one row with the other tools on a laptop, beside JupyterLab's list of files. */
.samnb .samnb-extra .widget-hslider { width: 116px; }
"""

_BOARD = """
.samnb:has(> .samnb-annotator) { container-type: inline-size; }
/* A container gets no width from what is in it: in a row it would have none. */
.widget-box:not(.widget-vbox) > .samnb:has(> .samnb-annotator) { flex: 1 1 0; }
.samnb .samnb-annotator { display: grid; gap: 6px 12px; overflow: visible; margin: 0;
  grid-template: "head head" auto "tools tools" auto "chips chips" auto "stage side" auto "film film" auto
    "foot foot" auto / minmax(0, 1fr) clamp(204px, 25cqw, 300px); }
.samnb .samnb-annotator > * { margin: 0; }
.samnb .samnb-annotator > .samnb-head { grid-area: head; }
.samnb .samnb-annotator > .samnb-tools { grid-area: tools; }
.samnb .samnb-annotator > .samnb-chips { grid-area: chips; }
.samnb .samnb-annotator > .samnb-stage { grid-area: stage; }
.samnb .samnb-annotator > .samnb-side { grid-area: side; }
.samnb .samnb-annotator > .samnb-film { grid-area: film; }
.samnb .samnb-annotator > .samnb-foot { grid-area: foot; }
/* Over what is there: a line that comes and goes does not move the picture. */
.samnb .samnb-annotator > .samnb-error-line { position: absolute; left: 12px; right: 12px; bottom: 8px; z-index: 5; }
.samnb .samnb-stage { height: var(--samnb-stage-height, 420px); overflow: hidden; padding: 0; margin: 0;
  border-radius: var(--samnb-radius);
  background: var(--samnb-sunk); cursor: crosshair; outline: none; line-height: 0; }
.samnb .samnb-stage canvas { pointer-events: none; display: block; object-fit: contain; }
/* As high as the picture, whatever is in it: a longer list scrolls, and the filmstrip stays where it is. */
.samnb .samnb-side { gap: 6px; overflow: hidden; padding: 0 3px; contain: size; align-self: stretch; }
.samnb .samnb-scale { position: absolute; left: 12px; bottom: 10px; z-index: 2; pointer-events: none;
  line-height: 16px; }
.samnb .samnb-scale div[style] { border-bottom: 3px solid #fff; color: #fff; text-align: center; font-size: 12px;
  text-shadow: 0 0 3px #000, 0 0 3px #000; box-shadow: 0 1px 1px #000; }
/* A row of its own only where there is a stack: an empty one would still take its gap. */
.samnb .samnb-annotator:has(> .samnb-stack.samnb-on) { grid-template: "head head" auto "tools tools" auto
  "chips chips" auto "stack stack" auto "stage side" auto "film film" auto "foot foot" auto
  / minmax(0, 1fr) clamp(204px, 25cqw, 300px); }
.samnb .samnb-annotator > .samnb-stack { grid-area: stack; overflow: hidden; }
.samnb .samnb-annotator > .samnb-stack .samnb-button.samnb-primary { flex: none; }
.samnb .samnb-slices { display: flex; flex: 1 1 260px; }
.samnb .samnb-slice { flex: 1 1 240px; }
.samnb .samnb-channel .widget-checkbox { flex: 0 1 150px; }
.samnb .samnb-channel .widget-slider { flex: 1 1 260px; }
.samnb .samnb-side > * { flex: none; }
.samnb .samnb-side > :last-child { flex: 0 1 auto; min-height: 60px; }
@container (max-width: 620px) {
  .samnb .samnb-annotator { grid-template: "head" auto "tools" auto "chips" auto "stage" auto "foot" auto "side" auto
    "film" auto / minmax(0, 1fr); }
  .samnb .samnb-annotator:has(> .samnb-stack.samnb-on) { grid-template: "head" auto "tools" auto "chips" auto
    "stack" auto "stage" auto "foot" auto "side" auto "film" auto / minmax(0, 1fr); }
  .samnb .samnb-status .samnb-clip { display: none; }
  .samnb .samnb-side { display: grid; grid-template-columns: 1fr 1fr; gap: 6px 12px; height: 216px;
    grid-auto-rows: min-content; }
  .samnb .samnb-side > * { grid-column: 1; }
  .samnb .samnb-side > :last-child { grid-column: 2; grid-row: 1 / span 8; }
}
@container (max-width: 380px) {
  .samnb .samnb-side { display: flex; height: 320px; }
  .samnb .samnb-film { flex-flow: column; }
}
.samnb .samnb-list { flex: 0 1 auto; overflow: hidden auto; border-top: 1px solid var(--samnb-line);
  min-height: 60px; padding: 4px 3px 3px; }
.samnb .samnb-entry { display: flex; flex-flow: row nowrap; align-items: center; min-height: 28px; flex: none;
  overflow: visible; border-radius: var(--samnb-radius); }
.samnb .samnb-entry:is(:hover, .samnb-lit) { background: var(--samnb-sunk); }
.samnb .samnb-entry.samnb-lit { box-shadow: inset 2px 0 0 var(--samnb-accent); }
.samnb .samnb-crop { width: 40px; height: 28px; flex: none; margin: 1px 0 1px 3px; object-fit: contain; }
.samnb .samnb-entry .samnb-chip { flex: 1 1 0; min-width: 0; justify-content: flex-start; border-color: transparent;
  padding: 0 6px; height: 26px; overflow: hidden; text-overflow: ellipsis; }
.samnb .samnb-entry .samnb-chip.samnb-chosen { border-color: var(--samnb-accent); }
.samnb .samnb-selected { background: var(--samnb-sunk); border-radius: var(--samnb-radius); padding: 3px; gap: 4px;
  margin: 0; }
.samnb .samnb-selected .widget-dropdown { flex: 1 1 80px; width: auto; min-width: 60px; }
.samnb .samnb-candidates { display: flex; flex-flow: row nowrap; gap: 6px; overflow: hidden; padding: 3px;
  margin: -3px; }
.samnb .samnb-candidates .samnb-cell { flex: 1 1 0; min-width: 0; max-width: 140px; display: flex; flex-flow: column;
  background: var(--samnb-sunk); }
.samnb .samnb-candidates .widget-image { width: 100%; height: auto; aspect-ratio: 22 / 15; object-fit: contain; }
.samnb .samnb-candidates .samnb-button { width: 100%; padding: 0; }
.samnb .samnb-cell { position: relative; overflow: visible; flex: none; margin: 0; border-radius: var(--samnb-radius); }
.samnb .samnb-cell img, .samnb .samnb-cell .widget-image { display: block; margin: 0; }

.samnb .samnb-strip { display: flex; flex-flow: row nowrap; gap: 4px; overflow: hidden; flex: 1 1 0; min-width: 0;
  padding: 3px; }
.samnb .samnb-strip .samnb-cell { width: 88px; height: 80px; background: var(--samnb-sunk); overflow: hidden; }
.samnb .samnb-strip .widget-image { position: absolute; left: 0; top: 0; width: 88px; height: 60px;
  object-fit: contain; }
.samnb .samnb-strip .samnb-button { position: absolute; inset: 0; width: 88px; height: 80px; padding: 62px 4px 0;
  font-size: 11px; line-height: 16px; display: block; text-align: left; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; border-color: transparent; outline-offset: -2px; }
.samnb .samnb-strip .samnb-button.samnb-chosen { font-weight: inherit; border-color: var(--samnb-accent);
  box-shadow: inset 0 0 0 2px var(--samnb-accent); }
.samnb .samnb-strip .samnb-button:hover:enabled { background: rgba(128, 128, 128, .16); }
.samnb .samnb-film { display: flex; flex-flow: row nowrap; gap: 8px; overflow: visible; }
.samnb .samnb-reel { display: flex; flex-flow: row nowrap; align-items: stretch; gap: 2px; overflow: hidden;
  flex: 1 1 0; min-width: 0; }
.samnb .samnb-reel > .samnb-button { height: 80px; width: 22px; padding: 0; margin: 3px 0; }
.samnb .samnb-reel-tools { display: flex; flex-flow: column nowrap; gap: 2px; width: 236px; flex: none;
  padding: 3px 0 0 3px; overflow: visible; }
.samnb .samnb-reel-tools > * { width: 100%; flex: none; margin: 0; padding: 0; }
.samnb .samnb-reel-tools .samnb-button { height: 26px; flex: 1 1 auto; }
.samnb .samnb-reel-find { display: flex; gap: 4px; overflow: visible; }
.samnb .samnb-reel-find > * { flex: 1 1 0; width: auto; min-width: 0; }
.samnb .samnb-reel-find > .widget-dropdown { flex: 0 0 142px; }
.samnb .samnb-reel-tools :is(.widget-text, .widget-dropdown), .samnb .samnb-reel-tools input,
.samnb .samnb-reel-tools select { height: 26px; min-height: 26px; }
.samnb .samnb-reel-place { display: flex; align-items: center; gap: 10px; overflow: visible; height: 22px; }
.samnb .samnb-reel-place .widget-hslider { flex: 1 1 0; min-width: 40px; width: auto; height: 22px; min-height: 22px; }
.samnb .samnb-reel-place .widget-html { flex: none; white-space: nowrap; }

@media (pointer: coarse) {
  .samnb .samnb-button, .samnb .samnb-button.samnb-plain, .samnb .samnb-entry .samnb-chip { height: 32px;
    min-width: 32px; }
  .samnb .samnb-button.samnb-icon, .samnb .samnb-button.samnb-plain { width: 34px; }
  .samnb .samnb-reel > .samnb-button { width: 32px; height: 80px; }
  .samnb .samnb-strip .samnb-button { height: 80px; }
  .samnb :is(.widget-text, .widget-dropdown, .widget-checkbox), .samnb .widget-text input,
  .samnb .widget-dropdown > select { height: 32px; min-height: 32px; }
}

.samnb .samnb-help { position: absolute; inset: 0; z-index: 10; overflow: auto; padding: 12px 16px; background:
  var(--samnb-face); flex-flow: column; }
.samnb .samnb-help > * { flex: none; }
.samnb .samnb-help .widget-html { overflow: visible; }
.samnb .samnb-keys { columns: 340px; column-gap: 28px; }
.samnb .samnb-keys section { break-inside: avoid; margin-bottom: 12px; }
.samnb .samnb-keys dl { display: grid; grid-template-columns: minmax(96px, max-content) 1fr; gap: 3px 14px;
  margin: 2px 0; }
.samnb .samnb-keys dt, .samnb .samnb-keys dd { float: none; display: block; width: auto; margin: 0; padding: 0;
  font-weight: normal; }
.samnb .samnb-keys dt { white-space: nowrap; }
.samnb .samnb-keys kbd { font: inherit; font-size: 12px; padding: 0 5px; border: 1px solid var(--samnb-line);
  border-radius: 3px; background: var(--samnb-sunk); white-space: nowrap; }
"""

_NEWS = """
/* The static picture under the annotator is for pages without a kernel; those of nbconvert show only this picture. */
:is(.jp-NotebookPanel, .jp-LinkedOutputView) .jp-OutputArea-child:has(.samnb-stage)
  + .jp-OutputArea-child:has(img.jp-needs-light-background) { display: none; }
body.jp-Notebook:not([data-base-url]) .samnb:has(.samnb-stage) { display: none; }

/* Of a widget whose kernel is gone JupyterLab marks each part with a broken link; one line for all of it says more. */
.samnb .jupyter-widgets-disconnected::before, .samnb.jupyter-widgets-disconnected::before { display: none !important; }
.samnb:is(.jupyter-widgets-disconnected, .samnb-kernel-gone) > * { filter: grayscale(1); opacity: .5;
  pointer-events: none; }
.samnb:is(.jupyter-widgets-disconnected, .samnb-kernel-gone)::after {
  content: "the kernel is gone: run all cells again";
  position: absolute; left: 0; right: 0; top: 0; z-index: 20; padding: 6px 12px; text-align: center;
  background: #333; color: #fff; font-weight: 600; }
.samnb:is(.jupyter-widgets-disconnected, .samnb-kernel-gone) .samnb-busy::after { display: none; }
.samnb.samnb-elsewhere > :not(.samnb-page-back) { display: none; }
.samnb-tab { overflow: hidden auto; background: var(--jp-layout-color1, #fff); }
.samnb:fullscreen { margin: 0; border: 0; border-radius: 0; overflow: hidden auto; }

.samnb .samnb-error-line { display: flex; flex-flow: row nowrap; align-items: flex-start; margin: 6px 0 0;
  padding: 4px 4px 4px 10px; border-left: 3px solid var(--samnb-bad); background: var(--samnb-face); overflow: hidden;
  box-shadow: 0 0 0 1px var(--samnb-line); }
.samnb .samnb-error-line .widget-html { flex: 1 1 0; min-width: 0; color: var(--samnb-bad); }
.samnb .samnb-error-line .widget-html-content { overflow-wrap: anywhere; }

.samnb .samnb-error-line.samnb-note { border-left-color: var(--samnb-accent); margin: 0; }
.samnb .samnb-error-line.samnb-note .widget-html { color: var(--samnb-text); line-height: 18px; }
.samnb .samnb-annotator > .samnb-nothing { grid-area: stage / stage / side / side; z-index: 4; display: flex;
  align-items: center; justify-content: center; background: var(--samnb-face); border: 1px dashed var(--samnb-line);
  border-radius: var(--samnb-radius); }
.samnb .samnb-empty { align-items: center; gap: 8px; overflow: visible; }

.samnb .samnb-bar { display: flex; height: 8px; margin: 6px 0; border-radius: 4px; overflow: hidden;
  background: var(--samnb-sunk); }
.samnb .samnb-bar div { transition: width .15s linear; }
.samnb .samnb-bar-computed { background: var(--samnb-accent); }
.samnb .samnb-bar-skipped { background: var(--samnb-accent); opacity: .45; }
.samnb .samnb-bar-failed { background: var(--samnb-bad); }
.samnb details { margin-top: 4px; } .samnb summary { cursor: pointer; }
.samnb .samnb-failures { max-height: 160px; overflow: auto; margin: 4px 0 0; padding-left: 18px; }
.samnb .samnb-failures li { overflow-wrap: anywhere; }
"""

_PANELS = """
.samnb .samnb-extra.samnb-view { flex: 1 1 100%; flex-flow: row wrap; gap: 4px 14px; }
.samnb .samnb-view .widget-hslider { width: 190px; }
.samnb .samnb-view .widget-dropdown { width: auto; }
.samnb .samnb-view .widget-dropdown > select { width: 112px; flex: none; }
.samnb .samnb-view .widget-dropdown .widget-label { width: auto; }
.samnb .samnb-button.samnb-eye { width: 20px; margin-left: -6px; }
.samnb .samnb-merge { width: 112px; }
.samnb .samnb-attributes { display: flex; flex-flow: row wrap; gap: 4px; align-items: center; overflow: hidden;
  padding: 3px; margin: -3px; }
.samnb .samnb-attributes input { box-sizing: border-box; min-width: 0; margin: 0; }
.samnb .samnb-attributes > .samnb-entry { flex: 1 1 100%; }
.samnb .samnb-attributes > .samnb-entry:hover { background: transparent; }
.samnb .samnb-attributes > .samnb-button { height: 26px; padding: 0 8px; }
.samnb .samnb-attributes > :is(.widget-text, .widget-dropdown) { flex: 1 1 100%; width: auto; min-width: 0; }
.samnb .samnb-attributes .widget-label { width: auto; min-width: 52px; max-width: 50%; text-align: left; }
"""

CSS = "".join((_THEME, _BASE, _CONTROLS, _BOARD, _NEWS, _PANELS)).strip()
"""Everything hangs below the class "samnb", so that the page around it stays as it is."""
