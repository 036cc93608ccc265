// The overview of layers.
//
// State that Python (or the exported page's host) sends:
//   about    {model, kind, parameters, towers, accepted}
//   sites    {name, place, tower, kind, shape, layout, units, grid, activity, multimodal}, from the input up
//   chosen   a site's name; the page sets it, as it does

import { alive } from "../alive.js";
import { aligned, html, number, probability, svg } from "../draw.js";
import { choose, whenChosen } from "../link.js";

const AXES = { C: "channels", H: "rows", W: "columns", T: "tokens", D: "features", N: "heads", Q: "queries", K: "keys" };
const MAIN = ["stem", "stage", "block", "embedding", "module"];

function render({ model, el }) {
  const about = model.get("about"), sites = model.get("sites");
  const widest = Math.max(1, ...sites.map((site) => site.units));
  const buttons = new Map();
  let all = false, picked = "";

  const every = html("button", { type: "button", class: "act", "aria-pressed": "false", onclick: () => ((all = !all), every.setAttribute("aria-pressed", String(all)), list()) }, "All sites");
  const towers = html("div", { class: "towers" }), detail = html("section", { class: "detail", "aria-live": "polite" });
  const root = html("div", { class: "lens lens-layers", role: "region", "aria-label": "Overview of layers", "data-lm-suppress-shortcuts": "true" },
    html("article", { class: "page" },
      html("header", {}, html("div", {}, html("p", { class: "crumbs" }, `${about.kind}, ${number(about.parameters / 1e6)} million parameters`), html("h1", { dir: "auto", title: about.model }, about.model)), every),
      html("div", { class: "body" }, towers, detail),
      html("p", { class: "hint" }, "From the input at the bottom to the embedding at the top. The width of a bar stands for the number of units. ", html("kbd", {}, "\u2191"), " ", html("kbd", {}, "\u2193"), " walk.")));
  el.replaceChildren(root);

  const own = (site) => site.name.replace(`${site.tower}.`, "");
  const shown = (site) => all || MAIN.includes(site.kind) || site.kind === "neurons" || site.name === model.get("chosen");

  function list() {
    const focused = document.activeElement?.dataset?.site;
    buttons.clear();
    towers.replaceChildren(...about.towers.map((tower) => {
      const mine = sites.filter((site) => site.tower === tower && shown(site)).reverse();
      return html("section", { "aria-label": `${tower} tower` }, html("h2", {}, `${tower} tower`),
        html("ol", {}, ...mine.map((site) => {
          const bar = html("i", { "aria-hidden": "true" });
          bar.style.width = `${Math.max(2, (100 * site.units) / widest)}%`;
          const badge = site.multimodal ? html("em", { title: `${site.multimodal.count} multimodal units` }, `${site.multimodal.count} multimodal`) : site.activity ? html("em", {}, "captured") : null;
          const button = html("button", { type: "button", tabindex: -1, "data-site": site.name, "data-kind": site.kind, title: site.name, onclick: () => (pick(site.name), choose(root, "site", site.place)), onkeydown: (event) => keys(event, mine) },
            html("span", {}, html("bdi", {}, own(site)), badge), html("small", {}, `${site.units.toLocaleString("en")} ${site.layout.startsWith("N") && site.layout.includes("Q") ? "heads" : "units"}`), bar);
          buttons.set(site.name, button);
          return html("li", { class: MAIN.includes(site.kind) && site.kind !== "block" ? "main" : site.kind === "block" ? "" : "part" }, button);
        })));
    }));
    mark();
    if (focused) buttons.get(focused)?.focus();
  }

  function mark() {
    const chosen = model.get("chosen");
    for (const [name, button] of buttons) {
      button.setAttribute("aria-pressed", String(name === chosen));
      button.tabIndex = name === chosen ? 0 : -1;
    }
    for (const list of towers.querySelectorAll("ol")) if (!list.querySelector('[tabindex="0"]')) list.querySelector("button")?.setAttribute("tabindex", 0);
  }

  function pick(name) {
    if (name === model.get("chosen")) return;
    model.set("chosen", name);
    model.save_changes();
    show();
  }

  function keys(event, mine) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const here = mine.findIndex((site) => site.name === event.target.dataset.site);
    const to = { ArrowUp: mine[here - 1], ArrowDown: mine[here + 1], Home: mine[0], End: mine.at(-1) }[event.key];
    if (!["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (to) (pick(to.name), choose(root, "site", to.place), buttons.get(to.name)?.focus());
  }

  // Bars of how many units have which mean activation.
  function histogram({ counts, edges }) {
    const most = Math.max(...counts, 1);
    const chart = svg("svg", { viewBox: `0 0 ${counts.length} 40`, preserveAspectRatio: "none", role: "img", "aria-label": `Mean activation of the units, from ${number(edges[0])} to ${number(edges[1])}` },
      ...counts.map((n, i) => svg("rect", { x: i + 0.06, y: 40 - (39 * n) / most, width: 0.88, height: (39 * n) / most })));
    return html("div", { class: "histogram" }, chart, html("div", { class: "ends" }, html("span", {}, number(edges[0])), html("span", {}, "mean activation of a unit"), html("span", {}, number(edges[1]))));
  }

  function table(site, head, rows) {
    return html("table", {}, html("thead", {}, html("tr", {}, ...head.map((text) => html("th", { scope: "col" }, text)))),
      html("tbody", {}, ...rows.map(([unit, ...rest]) => html("tr", {}, html("th", { scope: "row" }, html("button", { type: "button", class: "act unit", "aria-pressed": String(picked === `${site.place}/${unit}`), "data-unit": `${site.place}/${unit}`, onclick: () => point(`${site.place}/${unit}`, true) }, String(unit))), ...rest.map((text) => html("td", {}, html("bdi", {}, text)))))));
  }

  function point(name, telling) {
    picked = name;
    for (const button of detail.querySelectorAll(".unit")) button.setAttribute("aria-pressed", String(button.dataset.unit === name));
    if (telling) choose(root, "unit", name);
  }

  function show() {
    const site = sites.find((one) => one.name === model.get("chosen"));
    if (!site) return;
    if (!buttons.has(site.name)) list();
    mark();
    const axes = [...site.layout].map((axis, i) => `${site.shape[i]} ${AXES[axis] ?? axis}`).join(" \u00d7 ");
    const fact = (name, value) => html("div", {}, html("dt", {}, name), html("dd", {}, value));
    const { activity, multimodal } = site;
    detail.setAttribute("aria-label", `Site ${site.name}`);
    detail.replaceChildren(html("h2", {}, html("bdi", {}, site.name)), html("p", { class: "hint" }, `${site.kind}; ${axes}`),
      html("dl", {}, fact("units", site.units.toLocaleString("en")), fact("places", site.grid ? site.grid.join(" \u00d7 ") : "none"),
        ...(activity ? [fact("mean activation", aligned(activity.mean)), fact("largest", aligned(activity.max)), fact("never above 0", `${activity.silent.toLocaleString("en")}`)] : []),
        ...(multimodal ? [fact("multimodal", `${multimodal.count} of ${multimodal.of.toLocaleString("en")}`), fact("concepts", String(multimodal.concepts))] : [])),
      ...(multimodal ? [html("h3", {}, `Surest multimodal units (q \u2264 ${about.accepted} counts)`), table(site, ["unit", "concept", "q"], multimodal.top.map(([unit, concept, q]) => [unit, concept, probability(q)]))] : []),
      ...(activity ? [html("h3", {}, `Activation over ${activity.inputs.toLocaleString("en")} inputs`), histogram(activity), table(site, ["unit", "mean", "largest"], activity.top.map(([unit, mean, most]) => [unit, aligned(mean), aligned(most)]))] : []),
      ...(activity || multimodal ? [] : [html("p", { class: "hint none" }, "Nothing was measured here: lens.widgets.layers(model, acts, tables) shows what lens.capture and lens.multimodal found.")]));
  }

  // A unit chosen elsewhere: its site is shown.
  function hear(name) {
    const where = name.slice(0, name.lastIndexOf("/"));
    const here = sites.find((site) => site.name === model.get("chosen"));
    const site = here?.place === where ? here : sites.filter((one) => one.place === where).at(-1);
    if (!site) return;
    pick(site.name);
    point(name, false);
  }

  const links = [whenChosen(root, "unit", hear), whenChosen(root, "site", (name) => {
    const site = sites.find((one) => one.place === name || one.name === name);
    if (site) pick(site.name);
  })];
  model.on("change:chosen", show);
  list();
  show();
  return () => {
    links.forEach((unlink) => unlink());
    model.off("change:chosen", show);
  };
}

export default { render: alive(render) };
