// The attention explorer: every layer and head as a small map, and where each patch or word looks.
//
// State that Python (or the exported page's host) sends:
//   about     {model, rows, layers: [{name, tower, heads, windows, rollout, scored}], held: what a saved page has, or null,
//             images, texts: what each row's are called in other views, or ""}
//   row       the input shown; the page sets it, and is answered with an overview
//   overview  {row, picture, text, icons, entropy}: what stands beside the weights
//   asked     "row/layer"; the page sets it, and is answered with
//   maps      {key, heads, queries, keys, same, scales, values}: weight = scale of the head * (byte / 255) ** 2
//   scored    "row/layer" whose heads are to be ablated; answered with
//   scores    {"row/layer": {similarity, changes}}
//   notice    one sentence about what went wrong, or ""
//   offline   true in an exported page

import { alive, gone } from "../alive.js";
import { bitmap, html, known, number } from "../draw.js";
import { choose, placeIn, tokenOf, whenChosen, wordIn } from "../link.js";
import { grey, INFERNO, scaleLegend } from "../scale.js";
import { makeBoard, nameOf } from "./board.js";
import { asChange, headGrid, MEAN, shortName } from "./heads.js";

const TOWERS = { image: "Image", text: "Text", cross: "Text to image" };
const square = Float32Array.from({ length: 256 }, (_, i) => (i / 255) ** 2);

function render({ model, el }) {
  const self = {};                         // who chooses, for other views of the page
  const about = model.get("about");
  const layers = about.layers;
  const decoded = new Map();               // "row/layer" -> maps; a layer is asked for once
  let row = model.get("row");
  let layer = layers.find(({ name }) => name === model.get("asked").replace(/^\d+\//, ""));
  let head = layer.heads === 1 && !layer.rollout ? 0 : MEAN, way = "from", blend = 0.7;
  let pinned = null, probe = null;         // tokens of the side that is asked from
  let wanted = null;                       // a token chosen elsewhere, until its layer is there
  let shown = null, boards = {}, picture = null, grid = null;

  const key = (name = layer.name) => `${row}/${name}`;
  const title = html("h2");
  const notice = html("p", { class: "notice", role: "status" });
  const spoken = html("p", { class: "spoken", role: "status" });
  const prompt = html("p", { class: "prompt", dir: "auto" });
  const towers = html("div", { class: "choices", role: "group", "aria-label": "Tower" }, ...Object.keys(TOWERS).filter((tower) => layers.some((one) => one.tower === tower))
    .map((tower) => html("button", { type: "button", "data-tower": tower, onclick: () => enter(tower) }, TOWERS[tower])));
  const rows = html("select", { "aria-label": "Input", onchange: () => { turn(Number(rows.value)); about.images[row] ? say("image", about.images[row]) : say("text", about.texts[row]); } },
    ...Array.from({ length: about.rows }, (_, i) => html("option", { value: i }, `Input ${i + 1} of ${about.rows}`)));
  const heads = html("div", { class: "heads" });
  const meaning = html("p", { class: "hint" });
  const score = html("button", { type: "button", class: "plain", onclick: ablate }, "Ablate the heads of this layer");
  const worth = html("p", { class: "hint worths", role: "status" });
  const ways = html("div", { class: "choices", role: "group", "aria-label": "Direction" }, ...[["from", "Looks at"], ["to", "Seen by"]]
    .map(([value, word]) => html("button", { type: "button", "data-way": value, onclick: () => ((way = value), paint()) }, word)));
  const stage = html("div", { class: "boards" });
  const legend = scaleLegend(INFERNO, "attention weight");
  const slider = html("input", { type: "range", min: 0, max: 100, value: 100 * blend, oninput: () => ((blend = slider.value / 100), paint()) });
  const blending = html("label", { class: "blend" }, html("span", {}, "Picture"), slider, html("span", {}, "Map"));
  slider.setAttribute("aria-label", "Blend of picture and map");
  const caption = html("p", { class: "caption" });
  const numbers = html("tbody");
  const told = html("caption");
  const details = html("details", { ontoggle: () => paint() }, html("summary", {}, "The numbers"), html("table", { class: "numbers" }, told,
    html("thead", {}, html("tr", {}, ...["rank", "token", "weight"].map((name) => html("th", { scope: "col" }, name)))), numbers));

  const root = html("div", { class: "lens lens-attention", role: "region", "aria-label": "Attention explorer", "data-lm-suppress-shortcuts": "true" },
    html("article", { class: "page" },
      html("header", {}, html("div", {}, html("p", { class: "crumbs" }, about.model), html("h1", {}, "Attention"), prompt), html("div", { class: "bar" }, towers, about.rows > 1 && rows)),
      notice, spoken,
      html("div", { class: "body" },
        html("section", { "aria-label": "Layers and heads" }, html("h2", {}, "Layers and heads"), meaning, heads, html("div", { class: "ablate" }, score, worth)),
        html("section", { class: "stage", "aria-label": "Where it looks" }, title, html("div", { class: "bar" }, ways, blending), stage, legend.node, caption, details)),
      html("p", { class: "hint keys" }, html("kbd", {}, "\u2190 \u2191 \u2192 \u2193"), " walk ", html("kbd", {}, "Enter"), " keep ", html("kbd", {}, "Esc"), " let go")));
  el.replaceChildren(root);

  // -- choosing

  const complain = (text) => (notice.textContent = text);
  const tower = () => layers.filter((one) => one.tower === layer.tower);

  function enter(name) {
    if (name === layer.tower) return;
    const own = layers.filter((one) => one.tower === name && !one.rollout);
    show(own.at(-1), MEAN);
  }

  function show(to, h) {
    const moved = to.tower !== layer.tower;
    layer = to;
    head = h >= to.heads || to.heads === 1 ? (to.rollout ? MEAN : 0) : h;
    if (moved) gather();
    ask();
  }

  function ask() {
    const asked = key();
    grid.select(layer.name, head);
    if (decoded.has(asked)) return complain(""), draw();
    if (about.held && !about.held.includes(asked)) {
      const names = new Set(about.held.map((one) => one.replace(/^\d+\//, "")));
      return stay(`${layer.name} is not in this saved page, which holds ${names.size} of ${layers.length} layers.`);
    }
    if (gone(el)) return stay(`${layer.name} was not fetched before the kernel ended.`);
    complain("");
    stage.setAttribute("aria-busy", "true");
    model.set("asked", asked);
    model.save_changes();
  }

  // What is not there is not shown: the stage keeps the layer that it has, and its name.
  function stay(why) {
    const old = shown && layers.find(({ name }) => key(name) === shown.key);
    if (old) {
      const moved = old.tower !== layer.tower;
      layer = old;
      head = old.heads === 1 ? (old.rollout ? MEAN : 0) : Math.min(head, old.heads - 1);
      if (moved) gather();
      grid.select(layer.name, head);
      paint();
    }
    stage.setAttribute("aria-busy", "false");
    complain(why);
  }

  function turn(to) {
    if (!(to >= 0 && to < about.rows) || to === row) return;
    if (gone(el)) return (rows.value = String(row)), complain(`Input ${to + 1} was not fetched before the kernel ended.`);
    row = to;
    rows.value = String(to);
    model.set("row", row);
    model.save_changes();
  }

  function take() {
    const maps = model.get("maps");
    if (maps?.key) decoded.set(maps.key, { ...maps, values: new Uint8Array(maps.values.buffer, maps.values.byteOffset, maps.values.byteLength) });
    if (decoded.has(key())) draw();
  }

  // -- weights

  const asks = () => (way === "from" ? shown.queries : shown.keys);
  const first = (side) => (side.kind === "words" ? side.count - 1 : side.prefix.length ? 0 : Math.floor((side.grid[0] * side.grid[1] + side.grid[1]) / 2));

  function weights(token) {
    const { queries, keys, values, scales, heads: n } = shown;
    const chosen = head === MEAN ? scales.map((_, h) => h) : [head];
    const out = new Float32Array(way === "from" ? keys.count : queries.count);
    for (const h of chosen) {
      const start = h * queries.count * keys.count;
      for (let i = 0; i < out.length; i++) out[i] += (scales[h] * square[values[way === "from" ? start + token * keys.count + i : start + i * keys.count + token]]) / chosen.length;
    }
    return n ? out : null;
  }

  // -- drawing

  // The grid of heads, for a tower and an input.
  function gather() {
    const overview = model.get("overview");
    if (overview.row !== row) return;
    for (const button of towers.children) button.setAttribute("aria-pressed", String(button.dataset.tower === layer.tower));
    towers.hidden = towers.children.length < 2;
    prompt.textContent = overview.text ? `\u201c${overview.text}\u201d` : "";
    prompt.title = overview.text;
    meaning.textContent = layer.tower === "text" ? "Each square is a head: rows are words that look, columns words that are looked at." : "Each square is a head: where the class token looks, or the average patch where there is none.";
    grid = headGrid(tower(), overview, (to, h) => show(to, h));
    heads.replaceChildren(grid.node);
    grid.select(layer.name, head);
    rate();
    bring(overview);
  }

  async function bring({ picture: bytes }) {
    const mine = row;
    const image = bytes ? grey(await bitmap(bytes)) : null;
    if (mine !== row) return;
    picture = image;
    if (shown) paint();
  }

  // The stage, for a layer: new boards only where the tokens are others.
  function draw() {
    const maps = decoded.get(key());
    const same = shown && JSON.stringify([maps.queries, maps.keys]) === JSON.stringify([shown.queries, shown.keys]);
    shown = maps;
    stage.setAttribute("aria-busy", "false");
    if (!same) {
      way = maps.same ? way : "from";
      pinned = first(asks());
      probe = null;
      const acts = (side) => ({ probe: (i, aloud) => point(side, i, aloud), pin: (i) => pin(side, i), free: () => pin(side, first(side === "both" ? maps.keys : maps[side])) });
      boards = maps.same ? { both: makeBoard(maps.keys, "Tokens", acts("both")) } : { queries: makeBoard(maps.queries, "Tokens that look", acts("queries")), keys: makeBoard(maps.keys, "Tokens that are looked at", acts("keys")) };
      stage.replaceChildren(...Object.entries(boards).flatMap(([side, board]) => [side !== "both" && html("h3", {}, side === "queries" ? "Looks" : "Is looked at"), board.node]).filter(Boolean));
    }
    ways.hidden = !maps.same;
    settle();
    paint();
    rate();
  }

  function sided(side, i) {
    if (side !== "both" && i !== null && way !== (side === "queries" ? "from" : "to")) {
      way = side === "queries" ? "from" : "to";
      pinned = null;
    }
  }

  function point(side, i, aloud = false) {
    if (i === null && (side === "both" || pinned !== null)) probe = null;
    else if (i !== null) (sided(side, i), (probe = i));
    if (i === null && side !== "both" && pinned === null) (probe = null), (pinned = first(asks()));
    paint();
    if (aloud) spoken.textContent = caption.textContent;
  }

  function pin(side, i) {
    sided(side, i);
    probe = wanted = null;
    pinned = i;
    tell(side === "both" ? shown.keys : shown[side], i);
    paint();
    spoken.textContent = caption.textContent;
  }

  function paint() {
    if (!shown) return;
    const token = probe ?? pinned;
    const found = weights(token);
    const answer = way === "from" ? shown.keys : shown.queries;
    const prefix = answer.kind === "words" ? 0 : answer.prefix.length;
    // Class tokens and registers draw so much that patches would all be dark beside them.
    const most = found.slice(prefix).reduce((a, b) => Math.max(a, b), 0);
    const look = { picture, blend };
    if (shown.same) boards.both.paint({ weights: found, most, chosen: token, pinned, ...look });
    else {
      const [asking, answering] = way === "from" ? [boards.queries, boards.keys] : [boards.keys, boards.queries];
      asking.paint({ weights: null, most: 0, chosen: token, pinned, ...look });
      answering.paint({ weights: found, most, chosen: null, pinned: null, ...look });
    }
    for (const button of ways.children) button.setAttribute("aria-pressed", String(button.dataset.way === way));
    blending.hidden = !picture || ![shown.queries, shown.keys].some((side) => side.kind === "picture");
    const who = layer.rollout ? "rollout" : head === MEAN ? `${shortName(layer.name)}, mean of ${shown.heads} heads` : `${shortName(layer.name)}, head ${head}`;
    title.textContent = who + (layer.windows > 1 ? ` (window 1 of ${layer.windows})` : "");
    legend.say("0", number(most));
    const order = Array.from(found.keys()).sort((a, b) => found[b] - found[a]);
    const asking = nameOf(asks(), token), best = nameOf(answer, order[0]);
    caption.textContent = way === "from" ? `${asking} looks most at ${best}: ${number(found[order[0]])}` : `${asking} is most looked at by ${best}: ${number(found[order[0]])}`;
    if (details.open) list(found, order, answer, asking);
  }

  function list(found, order, answer, asking) {
    const top = order.slice(0, 12);
    const sum = found.reduce((a, b) => a + b, 0);
    told.textContent = `${asking} ${way === "from" ? "looks at" : "is looked at by"} ${found.length} tokens; the largest weights of ${number(sum)} in all. Written to 0.4% of the head\u2019s largest weight.`;
    numbers.replaceChildren(...top.map((i, rank) => html("tr", {}, html("td", {}, String(rank + 1)), html("td", {}, html("bdi", {}, nameOf(answer, i))), html("td", {}, number(found[i])))));
  }

  // -- what heads are worth

  function rate() {
    const scores = model.get("scores") ?? {};
    grid.worth((one) => scores[key(one.name)]?.changes);
    const mine = scores[key()];
    score.hidden = Boolean(mine) || model.get("offline") || gone(el) || !layer.scored;
    score.removeAttribute("aria-disabled");
    worth.textContent = "";
    if (!mine) return;
    const change = mine.changes[head];
    worth.textContent = `Similarity of picture and text ${number(mine.similarity)}. ` + (known(change) ? `Without head ${head}: ${number(mine.similarity + change)} (${asChange(change)}). ` : "") +
      "The bar under a head is its change when it is set to zero: red where it speaks for the text, blue where against.";
  }

  function ablate() {
    if (score.getAttribute("aria-disabled")) return;
    score.setAttribute("aria-disabled", "true");
    worth.textContent = `Ablating ${layer.heads} heads, one at a time\u2026`;
    model.set("scored", key());
    model.save_changes();
  }

  // -- following the model, and other views

  function walked() {
    if (model.get("row") === row && model.get("overview").row === row) return (shown = null), gather(), ask();
    if (model.get("row") !== row) turn(model.get("row"));
  }
  function said() {
    complain(model.get("notice"));
    stage.setAttribute("aria-busy", "false");
    rate();
  }
  const led = () => {
    const to = layers.find(({ name }) => key(name) === model.get("asked"));
    if (to && to !== layer) show(to, head);
  };

  const siteOf = ({ name }) => name.replace(/\.attention$/, "");
  const say = (kind, id) => id && choose(self, kind, id);

  // What is chosen here, as every view calls it.
  function tell(side, i) {
    const seen = side.kind === "picture" || layer.tower === "image", owner = (seen ? about.images : about.texts)[row];
    if (!owner) return;
    say(seen ? "image" : "text", owner);
    const patch = i - (side.prefix?.length ?? 0);
    if (side.kind === "picture" && patch >= 0) choose(self, "token", placeIn(owner, Math.floor(patch / side.grid[1]), patch % side.grid[1], ...side.grid));
    else choose(self, "token", wordIn(owner, i, nameOf(side, i)));
  }

  // Which of a side's tokens is meant; -1 for none.
  function tokenAt(side, { place, number: i, word }) {
    if (!place) return i < side.count && nameOf(side, i) === word ? i : -1;
    if (side.kind !== "picture") return -1;
    const [row, column, rows, columns] = place, [down, across] = side.grid;
    return side.prefix.length + Math.floor(((row + 0.5) / rows) * down) * across + Math.floor(((column + 0.5) / columns) * across);
  }

  function settle() {
    if (!wanted || shown?.key !== key()) return;
    for (const [side, from] of [["queries", "from"], ["keys", "to"]]) {
      const i = tokenAt(shown[side], wanted);
      if (i < 0) continue;
      [way, pinned, probe] = [shown.same ? way : from, i, null];
      break;
    }
    wanted = null;
  }

  // The input that has this picture or text: the one shown, if it does.
  const rowOf = (names, id) => (names[row] === id ? row : names.indexOf(id));
  function seek(names, id) {
    const to = id ? rowOf(names, id) : -1;
    if (to >= 0) turn(to);
    return to >= 0;
  }
  function hearToken(id) {
    const asked = tokenOf(id);
    if (!asked) return;
    const seen = rowOf(about.images, asked.owner) >= 0 && asked.owner !== "", names = seen ? about.images : about.texts;
    const fits = ({ tower, rollout }) => !rollout && tower === (seen ? "image" : "text");
    if (!layers.some(fits) || !seek(names, asked.owner)) return;
    wanted = asked;
    if (layer.tower !== "cross" && layer.tower !== (seen ? "image" : "text")) show(layers.filter(fits).at(-1), MEAN);
    else if (shown?.key === key()) (settle(), paint());
  }
  // A place of the model: the layer that is there, or around it.
  function hearSite(site) {
    const to = layers.find((one) => siteOf(one) === site) ?? layers.find((one) => !one.rollout && site.startsWith(`${siteOf(one)}.`));
    if (to && to !== layer) show(to, head);
  }
  const changes = { maps: take, overview: walked, row: walked, scores: rate, notice: said, asked: led };
  for (const [name, act] of Object.entries(changes)) model.on(`change:${name}`, act);
  const ended = () => (rate(), decoded.has(key()) || ask());
  el.addEventListener("lens:gone", ended);
  const ends = [
    () => el.removeEventListener("lens:gone", ended),
    whenChosen(self, "image", (id) => seek(about.images, id)),
    whenChosen(self, "text", (id) => seek(about.texts, id)),
    whenChosen(self, "token", hearToken),
    whenChosen(self, "site", hearSite),
    whenChosen(self, "unit", (id) => hearSite(id.slice(0, id.lastIndexOf("/")))),
  ];
  gather();
  take();
  return () => {
    for (const [name, act] of Object.entries(changes)) model.off(`change:${name}`, act);
    for (const end of ends) end();
  };
}

export default { render: alive(render) };
