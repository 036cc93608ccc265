// The table of units: sorted, filtered, and chosen from.
//
// State that Python (or the exported page's host) sends:
//   about      {model, site, place, n, columns: [{name, label, about, kind}], accepted, tests}
//   texts      {column: {names, codes: uint32 a row}}
//   numbers    {column: float64 a row}
//   thumbs     sheets of tiles; made: a tile a row or -1; examples: `each` tiles a row; called: what other views call a tile
//   chosen     a unit's number or null; the page sets it, as it does
//   order, search, sure   what is listed, and how

import { alive } from "../alive.js";
import { aligned, html, known, number, probability } from "../draw.js";
import { choose, whenChosen } from "../link.js";
import { tilesOf } from "../tiles.js";

const TALL = 56, AROUND = 8;
const viewed = (bytes, Kind) => {  // numbers in bytes that may start anywhere
  const copy = bytes ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice() : new Uint8Array();
  return new Kind(copy.buffer);
};
const WIDTHS = { text: "minmax(104px, 1.8fr)", area: "minmax(64px, 1fr)", chance: "minmax(60px, 0.8fr)", number: "minmax(46px, 0.7fr)" };

function render({ model, el }) {
  const about = model.get("about"), thumbs = model.get("thumbs");
  const tile = tilesOf(thumbs), made = viewed(thumbs.made, Int32Array), examples = viewed(thumbs.examples, Int32Array);
  const own = `lens-units-${Math.random().toString(36).slice(2)}`;
  const values = {};
  for (const { name, kind } of about.columns) {
    if (kind === "text") {
      const { names, codes } = model.get("texts")[name];
      values[name] = Array.from(viewed(codes, Uint32Array), (code) => names[code]);
    } else values[name] = viewed(model.get("numbers")[name], Float64Array);
  }
  const unit = values.unit;
  const found = Array.from(unit, (index, row) => [index, ...about.columns.filter(({ kind }) => kind === "text").map(({ name }) => values[name][row])].join(" ").toLowerCase());
  const tested = "q" in values;
  const called = (one) => thumbs.called?.[one];
  let listed = [], active = 0, looked = "";

  // -- what stands around the rows

  const search = html("input", { class: "field", type: "search", placeholder: "concept or number", "aria-label": "Search the units", oninput: () => ask("search", search.value) });
  const sure = html("input", { type: "checkbox", onchange: () => ask("sure", sure.checked) });
  const count = html("p", { class: "hint count", role: "status" });
  const wide = [made.length && ["picture", "what it wants"], thumbs.each && ["examples", "what excites it most"]].filter(Boolean);
  const widths = [...(made.length ? ["52px"] : []), ...(thumbs.each ? [`${52 * thumbs.each}px`] : []), ...about.columns.map(({ name, kind }) => (name === "unit" ? "48px" : WIDTHS[kind]))];
  const heads = about.columns.map(({ name, label, about: meaning, kind }) => {
    const button = html("button", { type: "button", title: meaning || null, tabindex: -1, onclick: () => sort(name) }, html("bdi", {}, label));
    return { name, node: html("div", { role: "columnheader", class: kind, "data-column": name, "aria-sort": "none" }, button) };
  });
  const rows = html("div", { class: "rows", role: "rowgroup" });
  const grid = html("div", { class: "grid", role: "grid", tabindex: 0, "aria-label": "Units", "aria-colcount": wide.length + heads.length, onkeydown: keys, onscroll: () => fill() },
    html("div", { class: "head", role: "rowgroup" }, html("div", { class: "row", role: "row", "aria-rowindex": 1 },
      ...wide.map(([name, title]) => html("div", { role: "columnheader", title }, name)), ...heads.map(({ node }) => node))), rows);
  grid.style.setProperty("--columns", widths.join(" "));
  const least = widths.reduce((sum, width) => sum + Number(width.match(/\d+/)[0]), 0);
  grid.style.setProperty("--wide", `${least + 14 * (widths.length + 1)}px`);  // or rows would differ in their columns
  const sorting = html("select", { class: "field", "aria-label": "Sort by", onchange: () => ask("order", sorting.value) },
    ...about.columns.flatMap(({ name, label, kind }) => (kind === "text" ? [["", "a to z"], ["-", "z to a"]] : [["-", "largest first"], ["", "smallest first"]]).map(([way, told]) => html("option", { value: way + name }, `${label}, ${told}`))));
  const root = html("div", { class: "lens lens-units", role: "region", "aria-label": "Table of units", "data-lm-suppress-shortcuts": "true" },
    html("article", { class: "page" },
      html("header", {}, html("p", { class: "crumbs" }, about.model), html("h1", { dir: "auto" }, about.site ? `Units of ${about.site}` : "Units")),
      html("div", { class: "bar" }, search, tested && html("label", { class: "sure" }, sure, ` q \u2264 ${about.accepted} only`), html("label", { class: "order" }, html("span", {}, "Sort by"), sorting), count),
      grid,
      html("p", { class: "hint" }, tested && about.tests ? `q controls the share of false finds over ${about.tests.toLocaleString("en")} tests. ` : "", "Bars of AUROC start at 0.5, which is chance. ",
        html("kbd", {}, "\u2191"), " ", html("kbd", {}, "\u2193"), " choose a unit, which the other views show.")));
  el.replaceChildren(root);

  // -- which rows, in which order

  function ask(name, value) {
    model.set(name, value);
    model.save_changes();
    list();
  }

  function sort(name) {
    const now = model.get("order"), kind = about.columns.find((column) => column.name === name).kind;
    const first = kind === "text" || kind === "chance" || name === "unit" ? name : `-${name}`;
    ask("order", now === first ? (first.startsWith("-") ? name : `-${name}`) : first);
  }

  function list() {
    const order = model.get("order"), name = order.replace(/^-/, ""), sign = order.startsWith("-") ? -1 : 1, by = values[name];
    const words = model.get("search").trim().toLowerCase().split(/\s+/).filter(Boolean);
    const only = model.get("sure") && tested;
    listed = [];
    for (let row = 0; row < about.n; row++) if ((!only || values.q[row] <= about.accepted) && words.every((word) => found[row].includes(word))) listed.push(row);
    const texts = Array.isArray(by);
    listed.sort((a, b) => {
      if (texts) return sign * by[a].localeCompare(by[b]) || a - b;
      const [x, y] = [by[a], by[b]];
      return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : sign * (x - y) || a - b;
    });
    for (const head of heads) head.node.setAttribute("aria-sort", head.name !== name ? "none" : sign < 0 ? "descending" : "ascending");
    if (document.activeElement !== search) search.value = model.get("search");
    sure.checked = model.get("sure");
    sorting.value = order;
    grid.setAttribute("aria-rowcount", listed.length + 1);
    rows.style.height = `${TALL * listed.length}px`;
    rows.replaceChildren();
    const here = listed.findIndex((row) => unit[row] === model.get("chosen"));
    active = Math.max(0, here);
    grid.scrollTop = 0;
    if (here > 0) reveal();
    tell();
    fill();
  }

  function tell() {
    const chosen = unit.indexOf(model.get("chosen"));
    const hidden = chosen >= 0 && !listed.includes(chosen);
    const all = about.n.toLocaleString("en");
    count.textContent = (listed.length === about.n ? `${all} units` : `${listed.length.toLocaleString("en")} of ${all} units`) + (hidden ? `; unit ${unit[chosen]}, which is chosen, is not among them` : "");
  }

  // -- the rows in sight

  function fill() {
    const first = Math.max(0, Math.floor(grid.scrollTop / TALL) - AROUND);
    const last = Math.min(listed.length, Math.ceil((grid.scrollTop + (grid.clientHeight || 600)) / TALL) + AROUND);
    const there = new Map([...rows.children].map((node) => [Number(node.dataset.place), node]));
    for (const [place, node] of there) if (place < first || place >= last) node.remove();
    for (let place = first; place < last; place++) if (!there.has(place)) rows.insertBefore(drawn(place), [...rows.children].find((node) => Number(node.dataset.place) > place) ?? null);
    mark();
  }

  function drawn(place) {
    const row = listed[place];
    const cells = about.columns.map((column) => html("div", { role: "gridcell", class: column.kind, "data-column": column.name, title: column.name === "q" && values.p ? `p = ${probability(values.p[row])}` : null }, ...cell(column, row)));
    const pictures = [];
    if (made.length) pictures.push(html("div", { role: "gridcell", class: "thumbs" }, made[row] >= 0 && tile(made[row], { role: "img", "aria-label": "feature visualization" })));
    if (thumbs.each) pictures.push(html("div", { role: "gridcell", class: "thumbs" }, ...Array.from(examples.slice(thumbs.each * row, thumbs.each * (row + 1))).filter((one) => one >= 0).map((one, i) => tile(one, { role: "img", "aria-label": `strongest example ${i + 1}`, "data-called": called(one), "data-chosen": Boolean(called(one)) && called(one) === looked }))));
    const node = html("div", { class: "row", role: "row", id: `${own}-${place}`, "data-place": place, "aria-rowindex": place + 2, onclick: (event) => (pick(place), look(event.target.dataset.called, true)) }, ...pictures, ...cells);
    node.style.transform = `translateY(${TALL * place}px)`;
    return node;
  }

  function cell({ name, kind }, row) {
    const value = values[name][row];
    if (name === "unit") return [html("b", {}, String(value))];
    if (kind === "text") return [html("bdi", { title: value }, value)];
    if (kind === "chance") return [probability(value)];
    if (kind === "number") return [Number.isInteger(value) ? String(value) : aligned(value)];
    const bar = html("i", { class: "share", "aria-hidden": "true" });
    bar.style.setProperty("--share", known(value) ? Math.max(0, 2 * value - 1) : 0);
    if (name === "score") bar.classList.add("main");
    return [html("span", {}, known(value) ? value.toFixed(3) : number(value)), bar];
  }

  function mark() {
    const chosen = model.get("chosen");
    for (const node of rows.children) {
      const place = Number(node.dataset.place);
      node.setAttribute("aria-selected", String(unit[listed[place]] === chosen));
      node.classList.toggle("active", place === active);
    }
    const there = document.getElementById(`${own}-${active}`);
    if (there) grid.setAttribute("aria-activedescendant", there.id);
    else grid.removeAttribute("aria-activedescendant");
  }

  function reveal() {
    const top = TALL * active, room = grid.clientHeight - 40;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + TALL > grid.scrollTop + room) grid.scrollTop = top + TALL - room;
  }

  // -- choosing

  function pick(place) {
    if (!listed.length) return;
    active = Math.max(0, Math.min(listed.length - 1, place));
    const index = unit[listed[active]];
    if (index !== model.get("chosen")) {
      model.set("chosen", index);
      model.save_changes();
      choose(root, "unit", `${about.place}/${index}`);
    }
    reveal();
    tell();
    fill();
  }

  // Chosen elsewhere, or by Python: shown if it is listed, and not told again.
  function follow() {
    const here = listed.findIndex((row) => unit[row] === model.get("chosen"));
    if (here >= 0 && here !== active) (active = here), reveal();
    tell();
    fill();
  }
  function hear(name) {
    const index = Number(name.slice(name.lastIndexOf("/") + 1));
    if (name !== `${about.place}/${index}` || !unit.includes(index) || index === model.get("chosen")) return;
    model.set("chosen", index);
    model.save_changes();
    follow();
  }

  // An example, chosen here or in another view.
  function look(name, telling) {
    if (!name) return;
    looked = name;
    for (const tile of rows.querySelectorAll("[data-called]")) tile.toggleAttribute("data-chosen", tile.dataset.called === name);
    if (telling) choose(root, "image", name);
  }

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== grid) return;
    const page = Math.max(1, Math.floor(grid.clientHeight / TALL) - 1);
    const to = { ArrowDown: active + (unit[listed[active]] === model.get("chosen") ? 1 : 0), ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: listed.length - 1, Enter: active, " ": active }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    pick(to);
  }

  const changes = { chosen: follow, order: list, search: list, sure: list };
  for (const [name, act] of Object.entries(changes)) model.on(`change:${name}`, act);
  const links = [whenChosen(root, "unit", hear), whenChosen(root, "image", look)];
  const watch = new ResizeObserver(() => fill());
  watch.observe(grid);
  list();
  return () => {
    links.forEach((unlink) => unlink());
    watch.disconnect();
    for (const [name, act] of Object.entries(changes)) model.off(`change:${name}`, act);
  };
}

export default { render: alive(render) };
