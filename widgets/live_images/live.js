// Feature visualization while it runs.
//
// State that Python (or the exported page's host) sends:
//   about     {model, steps, names: one an image, places: "site/unit" each, or ""}
//   frame     {sheets, width, height, values, curves, step, share, seconds}, or {} before the first look
//   phase     running | stopping | done | stopped | failed; the page sets "stopping"
//   notice    one sentence about what went wrong, or ""
//   offline   true in an exported page

import { alive, gone } from "../alive.js";
import { aligned, html, known, svg } from "../draw.js";
import { choose, whenChosen } from "../link.js";
import { tilesOf } from "../tiles.js";

// The objective from the first look to the last, as a small line.
function spark(curve) {
  const values = curve.filter(known), last = values.length - 1;
  if (last < 0) return null;
  const low = Math.min(...values), high = Math.max(...values);
  // What barely changes is a level line, not its rounding errors in full height; one step is a dot.
  const level = high - low <= 1e-4 * Math.max(Math.abs(low), Math.abs(high));
  const points = values.map((value, i) => `${(last ? (100 * i) / last : 50).toFixed(1)},${(level ? 10 : 19 - (18 * (value - low)) / (high - low)).toFixed(1)}`);
  if (!last) points.push(points[0]);
  return svg("svg", { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" }));
}

function render({ model, el }) {
  const state = html("p", { class: "state" }), said = html("p", { class: "spoken", role: "status" });
  const notice = html("p", { class: "said", role: "status" });
  const bar = html("div", { class: "done", role: "progressbar", "aria-label": "Steps done", "aria-valuemin": 0, "aria-valuemax": 100 }, html("i"));
  const stop = html("button", { type: "button", class: "act stop", onclick: halt }, "Stop and keep");
  const size = html("input", { type: "range", min: 80, max: 256, step: 16, "aria-label": "Size of the images", oninput: () => root.style.setProperty("--size", `${size.value}px`) });
  const grid = html("ol", { class: "images" });
  const root = html("div", { class: "lens lens-live", role: "region", "aria-label": "Live feature visualization", "data-lm-suppress-shortcuts": "true" },
    html("article", { class: "page" },
      html("header", {}, html("div", {}, html("p", { class: "crumbs" }, model.get("about").model), html("h1", {}, "Feature visualization"), state), html("div", { class: "tools" }, html("label", { class: "size" }, "Size ", size), stop)),
      bar, said, notice, grid,
      html("p", { class: "hint" }, "Images optimized from noise. They are synthetic: read them beside real examples. The line below each is its objective from the first step to this one.")));
  el.replaceChildren(root);
  const few = model.get("about").names.length <= 8;
  size.value = few ? 160 : 112;
  root.style.setProperty("--size", `${size.value}px`);
  let chosen = "";

  function halt() {
    if (stop.getAttribute("aria-disabled")) return;
    model.set("phase", "stopping");
    model.save_changes();
  }

  function tell() {
    const phase = model.get("phase"), frame = model.get("frame"), offline = model.get("offline");
    const { steps } = model.get("about"), share = phase === "done" || phase === "stopped" ? 1 : frame.share ?? 0;
    const cut = offline ? "Saved on the way" : gone(el) ? "Ended with the kernel" : "";
    const busy = (phase === "running" || phase === "stopping") && !cut;
    const left = share > 0.02 ? `, about ${Math.max(1, Math.round((frame.seconds * (1 - share)) / share))} s left` : "";
    const step = frame.step ? `step ${frame.step} of ${steps}` : "starting\u2026";
    const when = frame.step ? `${cut}, after ${step}.` : `${cut}, before the first image.`;
    state.textContent = {
      running: cut ? when : `${step}${left}`,
      stopping: cut ? when : `stopping after ${step}\u2026`,
      done: `${steps} steps in ${frame.seconds} s`,
      stopped: `Stopped after ${frame.step} of ${steps} steps, ${frame.seconds} s`,
      failed: "",
    }[phase];
    state.dataset.phase = phase;
    bar.hidden = !busy;
    bar.setAttribute("aria-valuenow", Math.round(100 * share));
    bar.firstChild.style.width = `${100 * share}%`;
    stop.hidden = !busy;
    if (phase === "stopping") stop.setAttribute("aria-disabled", "true");
    const spoken = { running: "", stopping: "Stopping.", done: "All images are done.", stopped: state.textContent, failed: "" }[phase];
    if (said.textContent !== spoken) said.textContent = spoken;
    notice.textContent = model.get("notice");
  }

  function show() {
    const { names, places } = model.get("about"), frame = model.get("frame");
    tell();
    if (!frame.sheets) {
      grid.replaceChildren(...names.map((name) => html("li", {}, html("div", { class: "frame waiting" }), html("p", { class: "name" }, html("bdi", {}, name)))));
      return;
    }
    const tile = tilesOf(frame.sheets);
    while (grid.children.length > names.length) grid.lastChild.remove();
    names.forEach((name, i) => {
      const there = i < frame.values.length, value = frame.values[i];
      const spoken = `${name}, ${there ? `${known(value) ? `objective ${aligned(value)}` : "not a number"} after ${frame.step} steps` : "not begun"}`;
      const old = grid.children[i]?.firstChild;
      // The button stays while its picture changes: it may have the focus.
      const frameNode = old && old.matches(".pick, .still") ? old : html(places[i] ? "button" : "div", places[i] ? { type: "button", class: "frame pick", onclick: () => pick(places[i]) } : { class: "frame still" });
      frameNode.style.aspectRatio = `${frame.width} / ${frame.height}`;
      const fresh = there && tile(i, { role: "img", "aria-label": spoken });
      if (fresh) swap(frameNode, fresh);
      if (places[i]) frameNode.setAttribute("aria-pressed", String(places[i] === chosen)), frameNode.setAttribute("aria-label", spoken), frameNode.dataset.place = places[i];
      const rest = [html("p", { class: "name", title: name }, html("bdi", {}, name), html("i", {}, there && known(value) ? aligned(value) : "\u2013")), there && spark(frame.curves[i] ?? [])].filter(Boolean);
      const item = grid.children[i] ?? html("li");
      if (item.firstChild !== frameNode) item.replaceChildren(frameNode, ...rest);
      else {
        while (item.children.length > 1) item.lastChild.remove();
        item.append(...rest);
      }
      if (!item.isConnected) grid.append(item);
    });
  }

  // The new picture is put over the old one, which goes once the new one is painted.
  function swap(frame, fresh) {
    const old = [...frame.children];
    frame.append(fresh);
    setTimeout(() => old.forEach((node) => node.remove()), 150);
    for (const node of old) node.removeAttribute("role"), node.setAttribute("aria-hidden", "true");
  }

  function mark() {
    for (const frame of grid.querySelectorAll(".pick")) frame.setAttribute("aria-pressed", String(frame.dataset.place === chosen));
  }
  function pick(name) {
    chosen = name;
    mark();
    choose(root, "unit", name);
  }

  const unlink = whenChosen(root, "unit", (name) => ((chosen = name), mark()));
  const changes = { frame: show, about: show, phase: tell, notice: tell };
  for (const [name, act] of Object.entries(changes)) model.on(`change:${name}`, act);
  el.addEventListener("lens:gone", tell);
  show();
  return () => {
    unlink();
    el.removeEventListener("lens:gone", tell);
    for (const [name, act] of Object.entries(changes)) model.off(`change:${name}`, act);
  };
}

export default { render: alive(render) };
