// The sheet of facets.
//
// State that Python (or the exported page's host) sends:
//   about     {model, steps, facets, columns: [facet, strength], unguided, probes, width, height, real}
//   rows      {unit, site, place, cells: {tile, activation, share, looks} or null a column, examples: [first tile, count]}
//   images, examples   sheets of tiles
//   order, size        the page sets them

import { alive } from "../alive.js";
import { aligned, html, known, number, share } from "../draw.js";
import { choose, whenChosen } from "../link.js";
import { tilesOf } from "../tiles.js";

function render({ model, el }) {
  const about = model.get("about"), rows = model.get("rows");
  const image = tilesOf(model.get("images")), real = tilesOf(model.get("examples"));
  const weights = [...new Set(about.columns.filter(([facet]) => facet !== about.unguided).map(([, weight]) => weight))];
  let strengths = "", chosen = "";

  const order = html("select", { class: "field", "aria-label": "Sort units by", onchange: () => (model.set("order", order.value), model.save_changes(), draw()) },
    ...[["given", "order given"], ["number", "unit number"], ["unguided", "activation, unguided"], ...about.facets.map((facet) => [facet, `share kept as ${facet}`])].map(([value, told]) => html("option", { value }, told.slice(0, 60))));
  const strength = weights.length > 1 && html("select", { class: "field", "aria-label": "Strengths shown", onchange: () => ((strengths = strength.value), draw()) },
    html("option", { value: "" }, "all strengths"), ...weights.map((weight) => html("option", { value: String(weight) }, `strength ${number(weight)}`)));
  const size = html("input", { type: "range", min: 48, max: 320, step: 8, "aria-label": "Size of the images", oninput: () => (model.set("size", Number(size.value)), model.save_changes(), zoom()) });
  const table = html("table");
  const guided = about.probes.map(({ site, accuracy, chance }) => `${site}, which tells ${share(accuracy)} of held-out stimuli right (chance ${share(chance)})`).join("; ");
  const root = html("div", { class: "lens lens-facets", role: "region", "aria-label": "Sheet of facets", "data-lm-suppress-shortcuts": "true" },
    html("article", { class: "page" },
      html("header", {}, html("p", { class: "crumbs" }, about.model), html("h1", {}, "Facets"), html("p", { class: "hint" }, `Guided by a probe at ${guided}. ${about.steps} steps each, from the same noise.`)),
      html("div", { class: "bar" }, html("label", {}, "Sort by ", order), strength && html("label", {}, "Show ", strength), html("label", {}, "Size ", size)),
      html("div", { class: "sheet", tabindex: 0, role: "group", "aria-label": "Units and their facets" }, table),
      html("p", { class: "hint" }, "The bar is the activation as a share of the unguided image\u2019s; beside the number stands what the probes take the image for. They guided it and are no independent judges. The images are synthetic.")));
  el.replaceChildren(root);

  const least = (cell) => (known(cell?.share) ? cell.share : -Infinity);
  function sorted() {
    const by = model.get("order"), listed = [...rows];
    if (by === "given") return listed;
    if (by === "number") return listed.sort((a, b) => a.unit.localeCompare(b.unit, "en", { numeric: true }));
    const columns = about.columns.map(([facet], i) => (facet === by ? i : -1)).filter((i) => i >= 0);
    const of = by === "unguided" ? (row) => row.cells[0]?.activation ?? -Infinity : (row) => Math.max(...columns.map((i) => least(row.cells[i])));
    return listed.sort((a, b) => of(b) - of(a) || 0);
  }

  function cellOf(row, column, cell) {
    if (!cell) return html("td", { class: "none" }, html("span", { class: "spoken" }, "not made"));
    const [facet, weight] = column;
    const best = cell.looks.reduce((a, b, i) => ((b ?? 0) > (cell.looks[a] ?? 0) ? i : a), 0);
    const looks = `${about.facets[best]} ${share(cell.looks[best])}`;
    const bar = html("i", { class: "share", "aria-hidden": "true" });
    bar.style.setProperty("--share", known(cell.share) ? Math.max(0, Math.min(1, cell.share)) : 0);
    const all = about.facets.map((name, i) => `${name} ${share(cell.looks[i] ?? 0)}`).join(", ");
    const spoken = `unit ${row.unit}, ${facet}${facet === about.unguided ? "" : ` at strength ${number(weight)}`}`;
    return html("td", {}, image(cell.tile, { role: "img", "aria-label": spoken }), bar,
      html("p", {}, html("b", { title: known(cell.share) ? `${share(cell.share)} of the unguided image\u2019s` : null }, aligned(cell.activation)), html("span", { title: `looks like: ${all}`, "data-found": about.facets[best] === facet ? "" : null }, html("bdi", {}, looks))));
  }

  function draw() {
    const shown = about.columns.map((column, i) => [column, i]).filter(([[facet, weight]]) => facet === about.unguided || !strengths || String(weight) === strengths);
    const groups = [];
    for (const [[facet]] of shown) groups.at(-1)?.[0] === facet ? groups.at(-1)[1]++ : groups.push([facet, 1]);
    order.value = model.get("order");
    table.replaceChildren(
      html("thead", {}, html("tr", {}, html("th", { rowspan: 2, scope: "col" }, html("span", { class: "spoken" }, "unit")), ...groups.map(([facet, n]) => html("th", { scope: "colgroup", colspan: n, class: "facet", title: facet }, html("bdi", {}, facet))), about.real && html("th", { scope: "col", rowspan: 2, class: "facet" }, "real examples")),
        html("tr", {}, ...shown.map(([[facet, weight]]) => html("th", { scope: "col" }, facet === about.unguided ? html("span", { class: "spoken" }, "no strength") : `strength ${number(weight)}`)))),
      html("tbody", {}, ...sorted().map((row) => {
        const name = html("bdi", {}, /^\d+$/.test(row.unit) ? `unit ${row.unit}` : row.unit);
        const pick = row.place ? html("button", { type: "button", class: "act", "aria-pressed": String(row.place === chosen), "data-place": row.place, onclick: () => (mark(row.place), choose(root, "unit", row.place)) }, name) : html("b", {}, name);
        return html("tr", {}, html("th", { scope: "row" }, pick, html("p", { title: row.site }, row.site)),
          ...shown.map(([column, i]) => cellOf(row, column, row.cells[i])),
          about.real && html("td", { class: "real" }, html("div", {}, ...Array.from({ length: row.examples[1] }, (_, i) => real(row.examples[0] + i, { role: "img", "aria-label": `strongest real example ${i + 1} of unit ${row.unit}` })))));
      })));
  }

  function mark(name) {
    chosen = name;
    for (const button of table.querySelectorAll("[data-place]")) {
      button.setAttribute("aria-pressed", String(button.dataset.place === name));
      if (button.dataset.place === name && !root.contains(document.activeElement)) button.closest("tr").scrollIntoView({ block: "nearest" });
    }
  }
  function zoom() {
    const side = model.get("size"), long = Math.max(about.width, about.height);
    size.value = side;
    root.style.setProperty("--wide", `${Math.round((side * about.width) / long)}px`);
    root.style.setProperty("--tall", `${Math.round((side * about.height) / long)}px`);
  }

  const unlink = whenChosen(root, "unit", (name) => rows.some((row) => row.place === name) && mark(name));
  const changes = { order: draw, size: zoom };
  for (const [name, act] of Object.entries(changes)) model.on(`change:${name}`, act);
  zoom();
  draw();
  return () => {
    unlink();
    for (const [name, act] of Object.entries(changes)) model.off(`change:${name}`, act);
  };
}

export default { render: alive(render) };
