// The embedding map: a projection to walk about in, to search, to colour and to label.
//
// State that Python (or the saved page's host) sends:
//   about       {n, method, kinds, notes, pictures, quality}
//   palette     {light, dark}: {categories, none, ramp}
//   places      uint16 x and y of each point, y upwards
//   colour      {name, names, counts, codes, bytes, low, high}: what the colours stand for
//   colourings  what they could stand for; "colour:NAME" in `ask` is answered with a `colour`
//   clusters    [{name, words, n, x, y}]
//   given       {labels: [[name, n]], undo, redo}: labels given by hand
//   selected    uint32 numbers of the selected points; the page sets it
//   reads       why texts cannot be compared with the points, or ""
//   notice      one sentence about what went wrong, or ""
//   offline     true in a saved page, whose `archive` answers what the kernel would

import { alive } from "../alive.js";
import { bitmap, html, number, painted, share } from "../draw.js";
import { choose, whenChosen } from "../link.js";
import { asker, bytes, longs, shorts } from "./asking.js";
import { hostInk } from "./ink.js";
import { legend, many, part, quality, table } from "./panel.js";
import { stage } from "./stage.js";

let maps = 0;
const thumbnail = ([image, x, y, tile], side, more) => painted(side, side, (pen) => pen.drawImage(image, x, y, tile, tile, 0, 0, side, side), more);

function render({ model, el }) {
  const own = `lens-map-${++maps}`;
  const about = model.get("about"), n = about.n;
  const places = shorts(model.get("places"));
  const { ask, end: stopAsking } = asker(model);
  const known = new Map();               // point -> {id, kind, name}
  const pictures = new Map();            // point -> [bitmap, x, y, side]; null where there is none
  const sheets = new Map();              // of a saved page: number -> promise of a bitmap
  let codes = new Uint16Array(n), moved = null, faded = false, selected = new Uint32Array(0), hits = [];
  let hovering = 0, wanted = 0, dark = false, ink = {};

  // -- the page

  const notice = html("p", { class: "notice", role: "status", "aria-live": "polite" });
  const spoken = html("p", { class: "spoken", "aria-live": "polite" });
  const help = html("p", { id: `${own}-help`, class: "spoken" }, "Arrow keys pan, plus and minus zoom, zero shows everything, Enter selects the point in the middle. The table below the map lists the points.");
  const card = html("div", { class: "card", hidden: true });
  const button = (name, title, act, more = {}) => html("button", { type: "button", title, "aria-label": title, onclick: act, ...more }, name);
  const modes = { pan: "Move", lasso: "Lasso", rectangle: "Rectangle" };
  const tools = Object.entries(modes).map(([name, word]) => button(word, `${word} (${name[0].toUpperCase()})`, () => map.mode(name), { "aria-pressed": String(name === "pan"), value: name }));
  const pick = html("select", { "aria-label": "Colour by", onchange: () => recolour(pick.value) });
  const asking = html("input", { type: "search", placeholder: model.get("reads") || model.get("offline") ? "Search" : "Search by meaning", "aria-label": "Search", autocomplete: "off" });
  const found = html("div", { class: "found" });
  const file = html("input", { type: "file", accept: "image/*", hidden: true, tabindex: -1, "aria-label": "An image to search by", onchange: () => seek(file.files[0]) });
  const seeing = !model.get("offline") && !model.get("reads");
  const key = html("div", { class: "key" });
  const naming = html("input", { type: "text", placeholder: "Label these points", "aria-label": "Label for the selected points", maxlength: 200, autocomplete: "off" });
  const chosen = html("p", { class: "count" });
  const labels = html("ol", { class: "labels" });
  const alike = html("div", { class: "more" }, button("Find alike", "The nearest points in the original space", () => present(ask("near", { point: selected[0], k: 60 }), "Nearest in the original space.")));
  const [undo, redo] = [["Undo", "undo"], ["Redo", "redo"]].map(([name, kind]) => button(name, `${name} the last label`, () => told(ask(kind))));
  const home = button("Save labels", "Save the labels as CSV", takeHome, { hidden: !model.get("offline") });
  const give = html("div", { class: "give" }, naming, button("Label", "Give this label to the selected points", label));
  const names = html("input", { type: "checkbox", checked: true, onchange: () => map.draw() });
  const list = table(rowsOf, cells, () => [model.get("colour").name, "neighbours kept"].slice(0, moved ? 2 : 1), (i) => { select([i], "new"); map.show([i]); });
  const rows = html("details", { class: "table", ontoggle: fillTable }, html("summary", {}, "The points as a table"), list.view);

  const root = html("article", { class: "lens lens-map", "data-lm-suppress-shortcuts": "true", onkeydown: keys, "aria-label": "Embedding map",
    ondragover: (event) => seeing && event.preventDefault(), ondrop: (event) => seeing && (event.preventDefault(), seek(event.dataTransfer.files[0])) });
  const map = stage(root, places, `${about.method} map of ${many(n, "point")}`, { hover, select, moved: settled, mode: pressed, cluster }, {
    help: `${own}-help`,
    colours: () => ink,
    picture: (i) => pictures.get(i),
    inkOf: (i) => shade(i),
    word: (i) => (known.get(i) && (known.get(i).kind !== "image" || !about.pictures) ? known.get(i).name : ""),
    clusters: () => model.get("clusters"),
    named: () => names.checked,
  });
  map.box.append(card, html("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
    button("+", "Zoom in (+)", () => map.magnify(1.5)), button("\u2212", "Zoom out (\u2212)", () => map.magnify(1 / 1.5)), button("Fit", "Show everything (0)", () => map.fit())));
  root.append(
    html("header", {},
      html("h2", {}, `${about.kinds.map(([kind, count]) => many(count, kind)).join(", ") || "No points"}`, html("span", {}, about.method)),
      html("div", { class: "tools", role: "group", "aria-label": "What dragging does" }, ...tools)),
    ...about.notes.map((note) => html("p", { class: "note" }, note)), notice,
    html("div", { class: "body" }, map.box,
      html("aside", {},
        part("colours", "Colour", pick, key, html("label", { class: "check" }, names, "Names of clusters")),
        part("search", "Search", html("div", { class: "ask" }, asking, button("Find", "Search", search), seeing && button("Image\u2026", "Search by an image, or drop one here", () => file.click())), seeing && file, found),
        part("selection", "Selection and labels", chosen, alike, give, labels, html("div", { class: "history" }, undo, redo, home)),
        quality(about, fade))),
    rows, help, spoken);
  el.replaceChildren(root);

  // -- asking

  const complain = (text) => (notice.textContent = text);
  const attempt = async (promise) => {
    try {
      const answer = await promise;
      complain("");
      return answer;
    } catch (problem) {
      complain(problem.message);
      return null;
    }
  };

  async function rowsOf(points) {
    const missing = points.filter((i) => !known.has(i));
    if (missing.length) {
      const answer = await attempt(ask("rows", { points: missing }));
      answer?.[0].rows.forEach((row, j) => known.set(missing[j], row));
    }
    return points.map((i) => known.get(i));
  }

  async function picturesOf(points) {
    const missing = points.filter((i) => !pictures.has(i));
    if (!about.pictures || !missing.length) return;
    const answer = await attempt(ask("pictures", { points: missing }));
    if (!answer) return;
    const [{ points: there, tile, columns, page, slot, sheets: archived }, buffers] = answer;
    missing.forEach((i) => pictures.set(i, null));
    const image = there.length && !slot ? await bitmap(buffers[0]) : null;
    for (const [j, i] of there.entries()) {
      const place = slot ? slot.get(i) : j, sheet = slot ? Math.floor(place / page) : 0, inside = slot ? place % page : j;
      if (slot && !sheets.has(sheet)) sheets.set(sheet, bitmap(archived[sheet]));
      pictures.set(i, [image ?? await sheets.get(sheet), tile * (inside % columns), tile * Math.floor(inside / columns), tile]);
    }
  }

  // -- what is under the pointer

  const codeOf = (i) => (codes[i] === (model.get("colour").bytes === 2 ? 65535 : 255) ? -1 : codes[i]);
  function valueOf(i) {
    const colour = model.get("colour"), code = codeOf(i);
    if (code < 0) return "\u2013";
    return colour.names.length ? colour.names[code] ?? "\u2013" : number(colour.low + ((colour.high - colour.low) * code) / 254);
  }
  function shade(i) {
    const { categories, none, ramp } = palette(), colour = model.get("colour"), code = codeOf(i);
    if (code < 0) return none;
    return colour.names.length ? categories[code] ?? none : ramp[Math.round((code / 254) * (ramp.length - 1))];
  }
  function cells(i) { return [valueOf(i), ...(moved ? [share(moved[i] / 255)] : [])]; }

  async function hover(i, aloud) {
    const mine = ++hovering;
    card.hidden = true;
    if (i < 0) return;
    await new Promise((done) => setTimeout(done, 60));
    if (mine !== hovering) return;
    const [[row], near] = await Promise.all([rowsOf([i]), ask("near", { point: i }).catch(() => null), picturesOf([i])]);
    if (mine !== hovering) return;
    map.lines(near?.[0].points ?? []);
    const picture = pictures.get(i), colour = model.get("colour").name;
    const name = row?.name ?? `point ${i}`;
    card.replaceChildren(...[
      picture && thumbnail(picture, picture[3], { class: "thumb", role: "img", "aria-label": `Picture of ${name.slice(0, 100)}` }),
      html("div", {}, html("b", { dir: "auto" }, name.slice(0, 200)), html("p", {}, html("span", {}, `${colour} `), html("bdi", {}, valueOf(i).slice(0, 200))),
        near?.[0].names.length ? html("p", {}, html("span", {}, "nearest in the space "), html("bdi", {}, [...new Set(near[0].names)].slice(0, 4).join("; ").slice(0, 200))) : ""),
    ].filter(Boolean));
    card.hidden = false;
    const [x, y, width, height] = map.place(i);
    card.style.left = `${Math.max(8, Math.min(x + 16, width - card.offsetWidth - 8))}px`;
    card.style.top = `${y + 20 + card.offsetHeight > height ? Math.max(8, y - card.offsetHeight - 14) : y + 14}px`;
    if (aloud) spoken.textContent = `${name.slice(0, 200)}, ${colour} ${valueOf(i)}`;
  }

  // The map came to rest: few points in sight become pictures and words.
  async function settled() {
    if (!n) return;
    const mine = ++wanted, near = map.sight(71);
    if (near.length <= 70 && (map.zoom > 1.2 || n <= 30)) {
      await Promise.all([picturesOf(near), rowsOf(near)]);
      if (mine === wanted) map.draw();
    }
    fillTable();
  }

  function fillTable() {
    if (!rows.open) return;
    const points = selected.length ? [...selected] : map.sight(100000);
    list.put(points, `${many(points.length, "point")} ${selected.length ? "selected" : "in sight"}`);
  }

  // -- selection and labels

  function select(points, how, clicked = -1) {
    const now = how === "new" ? new Set() : new Set(selected);
    const toggled = clicked >= 0 && how === "more" && now.has(clicked);
    for (const i of points) how === "less" || toggled ? now.delete(i) : now.add(i);
    hold(Uint32Array.from(now).sort());
    model.set("selected", new DataView(selected.buffer));
    model.save_changes();
    if (clicked >= 0 && how === "new") tell(clicked);
  }

  // What is chosen here, as every view calls it.
  async function tell(point) {
    const [found] = (await ask("link", { point }).catch(() => null)) ?? [];
    if (found) choose(root, found.what, found.id);
  }

  async function cluster(name, how = "new", telling = true) {
    if (!model.get("clusters").some((one) => one.name === name)) return;
    const answer = await attempt(ask("cluster", { name }));
    if (!answer) return;
    const points = [...(answer[0].own ?? longs(answer[1][0]))];
    select(points, how);
    if (telling) choose(root, "cluster", name);
    else if (points.length) map.show(points);
  }

  function hold(points) {
    selected = points;
    chosen.textContent = selected.length ? `${many(selected.length, "point")} selected` : "Nothing is selected: click, or drag with the lasso (L) or the rectangle (R).";
    give.hidden = !selected.length;
    alike.hidden = selected.length !== 1;
    marks();
    fillTable();
  }

  function marks() {
    const fresh = new Uint8Array(n);
    for (const i of selected) fresh[i] = 1;
    if (faded && moved) for (let i = 0; i < n; i++) if (moved[i] < 128) fresh[i] |= 2;
    map.mark(fresh, selected.length);
  }

  async function fade(box) {
    if (box.checked && !moved) {
      const answer = await attempt(ask("moved"));
      if (!answer) return void (box.checked = false);
      moved = bytes(answer[0].own ?? answer[1][0]);
    }
    faded = box.checked;
    marks();
    fillTable();
  }

  // A saved page keeps the labels itself; a kernel sends them as state.
  async function told(promise) {
    const answer = await attempt(promise);
    if (answer?.[0].given) (model.set("given", answer[0].given), model.save_changes());
    return answer;
  }

  async function label() {
    const name = naming.value.trim();
    if (!name) return complain("Type a label first.");
    if (await told(ask("label", { label: name }, [selected.slice().buffer]))) naming.value = "";
  }

  function labelled() {
    const given = model.get("given");
    labels.replaceChildren(...given.labels.map(([name, count]) => html("li", {}, button(html("bdi", {}, name), `Select what is called ${name.slice(0, 100)}`, async () => {
      const answer = await attempt(ask("labelled", { label: name }));
      if (answer) select([...(answer[0].own ?? longs(answer[1][0]))], "new");
    }), html("b", {}, count.toLocaleString("en")))));
    undo.disabled = !given.undo;
    redo.disabled = !given.redo;
    home.disabled = !given.labels.length;
  }

  async function takeHome() {
    const [{ text }] = await ask("csv");
    const link = html("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "labels.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // -- search

  async function search() {
    const text = asking.value.trim();
    const answer = await present(ask("search", { text }));
    if (!answer?.[0].points.length) return;
    const meant = answer[0].by === "meaning";
    if (meant && !model.get("offline")) found.querySelector(".more").append(button("Colour by this", `Colour by how near each point is to ${text.slice(0, 100)}`, () => recolour(`"${text}"`)));
    found.append(html("p", { class: "hint" }, meant ? "Best first, by likeness in the joint space." : "Found by what the points are called."));
  }

  async function seek(image) {
    if (!image || !seeing) return;
    file.value = "";
    await present(ask("resembling", {}, [await image.arrayBuffer()]), `Most like ${image.name.slice(0, 60)}, by likeness in the joint space.`);
  }

  // The points of an answer, as pictures and names to choose from.
  async function present(asked, hint) {
    const answer = await attempt(asked);
    if (!answer) return null;
    hits = answer[0].points;
    if (!hits.length) return found.replaceChildren(html("p", { class: "hint" }, "Nothing is called that.")), answer;
    const best = hits.slice(0, 8);
    const [shown] = await Promise.all([rowsOf(best), picturesOf(best)]);
    const show = html("ol", {}, ...best.map((i, j) => {
      const picture = pictures.get(i), name = shown[j]?.name ?? `point ${i}`;
      return html("li", {}, button(picture ? thumbnail(picture, 40, { "aria-hidden": "true" }) : html("bdi", {}, name.slice(0, 60)), `Show ${name.slice(0, 100)} on the map`, () => { select([i], "new"); map.show([i]); }));
    }));
    found.replaceChildren(show, html("div", { class: "more" }, button(`Select the best ${hits.length}`, "Select the search\u2019s points", () => { select(hits, "new"); map.show(hits); })),
      hint ? html("p", { class: "hint" }, hint) : "");
    return answer;
  }

  // -- colours

  const palette = () => model.get("palette")[dark ? "dark" : "light"];
  let patience = 0;
  function recolour(name) {
    if (name === model.get("colour").name) return;
    clearTimeout(patience);
    if (!model.get("offline")) patience = setTimeout(() => complain("The kernel does not answer: it is busy, or it has stopped. The colours stay as they are."), 10000);
    model.set("ask", `colour:${name}`);
    model.save_changes();
  }

  function colours() {
    clearTimeout(patience);
    const colour = model.get("colour"), number = !colour.names.length;
    codes = colour.bytes === 2 ? shorts(colour.codes) : bytes(colour.codes);
    const most = palette().categories.length;
    map.code(number ? codes : Uint8Array.from(codes, (code) => (code < most ? code : 255)));
    offers();
    inks();
    fillTable();
  }

  function offers() {
    const colour = model.get("colour");
    const all = [...new Set([...model.get("colourings"), colour.name])];
    pick.replaceChildren(...all.map((name) => html("option", { value: name, selected: name === colour.name }, name.slice(0, 80))));
    pick.value = colour.name;
  }

  function inks() {
    ({ dark, ...ink } = host.ink());
    const colour = model.get("colour");
    root.dataset.theme = dark ? "dark" : "light";
    map.table(palette(), !colour.names.length);
    key.replaceChildren(legend(colour, palette(), (code, event) => {
      const own = [];
      for (let i = 0; i < n; i++) if (codes[i] === code) own.push(i);
      select(own, event.shiftKey ? "more" : "new");
      if (colour.name === "cluster") choose(root, "cluster", colour.names[code]);
    }));
  }

  // -- keys

  function pressed(name) { tools.forEach((tool) => tool.setAttribute("aria-pressed", String(tool.value === name))); }

  function keys(event) {
    const typing = event.target.matches("input[type=search], input[type=text]");
    let done = false;
    if (typing) {
      done = event.key === "Enter" || event.key === "Escape";
      if (event.key === "Enter") (event.target === asking ? search : label)();
      if (event.key === "Escape") map.over.focus();
    } else if (event.target === map.over) {
      done = map.keys(event);
      const way = { p: "pan", m: "pan", l: "lasso", r: "rectangle" }[event.key.toLowerCase()];
      if (!done && way && !event.ctrlKey && !event.metaKey && !event.altKey) (map.mode(way), (done = true));
      if (event.key === "Escape") { map.cancel() || (map.point(-1), select([], "new")); done = true; }
      if (event.key === "/") { asking.focus(); done = true; }
    }
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
  }

  // -- following the model, the host's theme, and other views

  const follow = {
    colour: colours, colourings: offers, given: labelled,
    notice: () => (clearTimeout(patience), complain(model.get("notice"))),
    selected: () => { const fresh = longs(model.get("selected")); if (fresh.length !== selected.length || fresh.some((i, j) => i !== selected[j])) hold(fresh); },
  };
  for (const [name, act] of Object.entries(follow)) model.on(`change:${name}`, act);
  const host = hostInk(root, el, inks);
  const meet = (what) => async (id) => {
    const answer = await ask("find", { what, id }).catch(() => null);
    const point = answer?.[0].point ?? -1;
    if (point >= 0 && (selected.length !== 1 || selected[0] !== point)) { select([point], "new"); map.show([point]); }
  };
  const links = [...["image", "unit", "text"].map((what) => whenChosen(root, what, meet(what))),
    whenChosen(root, "cluster", (name) => cluster(name, "new", false))];
  colours();
  labelled();
  hold(longs(model.get("selected")));
  map.mode("pan");
  return () => {
    map.end();
    stopAsking();
    clearTimeout(patience);
    host.end();
    links.forEach((unlink) => unlink());
    for (const [name, act] of Object.entries(follow)) model.off(`change:${name}`, act);
  };
}

export default { render: alive(render) };
