// The neuron page: what one unit wants, what excites it, and how sure we are.
//
// State that Python (or the exported page's host) sends:
//   index    the unit asked for; the page sets it, and is answered with a card
//   card     everything about one unit but its picture; images lie in one WebP atlas
//   picture  its feature visualization: {index, state: computing | ready | failed | off, ...}
//   listed   [{index, label}] the units that previous and next walk through, or []
//   place    what its site is called where views tell each other of a choice
//   notice   one sentence about what went wrong, or ""
//   offline  true in an exported page, which holds the listed units only

import { alive, gone } from "../alive.js";
import { aligned, bitmap, html, known, number, painted, probability, signed, svg } from "../draw.js";
import { choose, whenChosen } from "../link.js";
import { bars, histogramChart, overlays, responseChart } from "./charts.js";

// The concept that the page compares with all others.
const leader = ({ responses, statistics }) => statistics?.concept ?? responses.concepts[0];

const arrow = (way) => svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
  svg("path", { d: way < 0 ? "M10 3 5 8l5 5" : "M6 3l5 5-5 5", fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round" }));

const section = (name, title, hint, ...children) =>
  html("section", { class: name, "aria-label": title }, html("h2", {}, title), hint && html("p", { class: "hint" }, hint), ...children);

const table = (head, rows) => html("table", {},
  html("thead", {}, html("tr", {}, ...head.map((text) => html("th", { scope: "col" }, text)))),
  html("tbody", {}, ...rows.map((row) => html("tr", {}, ...row.map((text) => html("td", {}, text))))));

function render({ model, el }) {
  const charts = [];                       // [host, draw(width)] pairs, drawn again when the page changes width
  let clock = null, typed = false, chosen = "";  // a number being typed is not overwritten by a card that comes

  const listed = () => model.get("listed") ?? [];
  const current = () => model.get("index");
  const n = () => model.get("card").n_units;

  const crumbs = html("p", { class: "crumbs" });
  const title = html("h1");
  const verdict = html("p", { class: "verdict" });
  const notice = html("p", { class: "notice", role: "status", "aria-live": "polite" });
  const previous = html("button", { type: "button", class: "previous", "aria-keyshortcuts": "ArrowLeft", onclick: () => go(step(-1)) }, arrow(-1));
  const next = html("button", { type: "button", class: "next", "aria-keyshortcuts": "ArrowRight", onclick: () => go(step(1)) }, arrow(1));
  const wanted = html("input", { inputmode: "numeric", autocomplete: "off", "aria-label": "Jump to unit", size: 5, oninput: () => (typed = true) });
  const total = html("span");
  const jump = html("label", { class: "jump", title: "Jump to a unit ( / )" }, html("span", {}, "Unit"), wanted, total);
  const list = html("nav", { class: "listed", "aria-label": "Units in this list" });
  const body = html("div", { class: "body" });
  const page = html("article", { class: "page" },
    html("header", {}, html("div", {}, crumbs, title), html("div", { class: "walk", role: "group", "aria-label": "Choose a unit" }, previous, jump, next), verdict),
    notice, list, body,
    html("p", { class: "hint keys" }, ...[["\u2190", ""], ["\u2192", "other units"], ["/", "jump"], ["H", "where it looks"]].flatMap(([key, use]) => [html("kbd", {}, key), ` ${use} `])));
  // JupyterLab would otherwise take the arrow keys and letters for its own commands.
  const root = html("div", { class: "lens lens-neuron", tabindex: 0, role: "region", "aria-label": "Neuron page", "data-lm-suppress-shortcuts": "true", onkeydown: keys }, page);
  el.replaceChildren(root);

  // -- choosing a unit

  function parsed(text) {
    const asked = text.trim();
    if (/^-?\d+$/.test(asked)) return Number(asked);
    complain(asked ? `\u201c${asked}\u201d is not a unit number.` : "Type a unit number.");
    return null;
  }

  function step(way) {
    const order = listed().map((unit) => unit.index);
    const here = order.indexOf(current());
    const to = here < 0 ? current() + way : order[here + way];
    return to >= 0 && to < n() ? to : null;
  }

  function go(index, telling = true) {
    if (index === null) return;
    if (index < 0 || index >= n()) {
      return complain(`Unit ${signed(String(index))} does not exist: ${model.get("card").site} has units 0 to ${n() - 1}.`);
    }
    if (model.get("offline") && !listed().some((unit) => unit.index === index)) {
      return complain(`Unit ${index} is not in this saved page, which holds ${listed().length} of the ${n()} units.`);
    }
    if (gone(el) && index !== model.get("card").index) return complain(`Unit ${index} was not computed before the kernel ended.`);
    complain("");
    typed = false;
    if (index === current()) return walk();
    model.set("index", index);
    model.save_changes();
    if (telling) choose(root, "unit", `${model.get("place")}/${index}`);
  }

  // Chosen in another view of the page: a unit of this site is shown.
  function hear(name) {
    const index = Number(name.slice(name.lastIndexOf("/") + 1));
    if (name === `${model.get("place")}/${index}`) go(index, false);
  }

  function complain(text) {
    notice.textContent = text;
    wanted.setAttribute("aria-invalid", text ? "true" : "false");
  }

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    // Enter is handled here, not by a form: JupyterLab lets none be submitted.
    const typing = { Enter: () => go(parsed(wanted.value)), Escape: () => root.focus() };
    const walking = { ArrowLeft: () => go(step(-1)), ArrowRight: () => go(step(1)), h: toggle, H: toggle, "/": () => wanted.select() };
    const act = (event.target === wanted ? typing : walking)[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  function toggle() {
    root.toggleAttribute("data-where");
    root.querySelector(".where")?.setAttribute("aria-pressed", String(root.hasAttribute("data-where")));
  }

  // -- drawing

  // The header answers at once; the body follows when its card is there.
  function walk() {
    const old = model.get("card").index !== current();
    const failed = old && Boolean(model.get("notice"));
    title.textContent = `Unit ${current()}`;
    if (!typed) wanted.value = String(current());
    total.textContent = `of ${n()}`;
    root.setAttribute("aria-busy", String(old && !failed));
    body.hidden = verdict.hidden = failed;
    for (const [button, way, word] of [[previous, -1, "Previous"], [next, 1, "Next"]]) {
      const to = step(way);
      button.setAttribute("aria-disabled", String(to === null));
      const name = to === null ? `No ${word.toLowerCase()} unit` : `${word} unit (${to})`;
      button.setAttribute("aria-label", name);
      button.title = name;
    }
    for (const button of list.children) {
      const chosen = Number(button.value) === current();
      button.setAttribute("aria-current", String(chosen));
      if (chosen) list.scrollTop = button.offsetTop - list.offsetTop - 40;
    }
  }

  function enlist() {
    list.replaceChildren(...listed().map(({ index, label: word }) =>
      html("button", { type: "button", value: index, onclick: () => go(index) }, html("b", {}, String(index)), word && html("span", {}, word))));
    walk();
  }

  function draw() {
    const card = model.get("card");
    walk();
    if (card.index !== current()) return;
    const focused = body.contains(document.activeElement);
    crumbs.replaceChildren(html("span", {}, card.model), html("span", { "aria-hidden": "true" }, "/"), html("span", {}, card.site));
    verdict.textContent = card.verdict.headline;
    verdict.dataset.level = card.verdict.level;
    charts.length = 0;
    body.replaceChildren(...[wants(), excites(card), responds(card), sure(card), histogram(card), words(card)].filter(Boolean));
    if (focused) root.focus({ preventScroll: true });  // what had the focus is gone; the keys still work
    show();
    redraw();
  }

  const wants = () => section("wants", "What it wants", null, html("div", { class: "picture" }), html("div", { class: "caption", "aria-live": "polite" }));

  // How good the picture is, where that was measured: one line.
  function judged(quality) {
    if (!quality || !known(quality.percentile)) return [];
    const all = quality.percentile >= 100, share = (Math.floor(10 * quality.percentile) / 10).toString();
    const held = `Blurred, recolored, cropped or turned, it excites the unit more than ${all ? "all" : `${share}% of`} ${quality.n.toLocaleString("en")} real examples.`;
    const named = quality.answer ? html("span", {}, ` Shown it, ${quality.by} answers `, html("b", {}, quality.answer), ".") : "";
    return [html("p", { class: "judged" }, held, named)];
  }

  async function show() {
    clearInterval(clock);
    const picture = model.get("picture") ?? {};
    const frame = body.querySelector(".picture"), caption = body.querySelector(".caption");
    if (!frame || model.get("card").index !== current()) return;
    const mine = picture.index === current() ? picture.state : "computing";
    if (mine === "ready") {
      const image = await bitmap(picture.image);
      if (!frame.isConnected) return;
      frame.dataset.state = mine;
      frame.replaceChildren(painted(image.width, image.height, (pen) => pen.drawImage(image, 0, 0), { role: "img", "aria-label": `Image optimized to excite unit ${current()}` }));
      const best = model.get("card").examples[0]?.value;
      caption.replaceChildren(html("p", {}, "An image optimized from noise to excite this unit. It is synthetic: read it beside the real examples."),
        html("p", {}, `Activation ${aligned(picture.value)}`, known(best) ? `; the strongest real example reaches ${aligned(best)}.` : "."),
        ...judged(picture.quality),
        html("details", {}, html("summary", {}, "Recipe"), table(["setting", "value"], Object.entries(picture.recipe))));
      return;
    }
    frame.dataset.state = mine;
    frame.replaceChildren();
    const since = Date.now();
    const waiting = () => `Computing the visualization\u2026 ${Math.round((Date.now() - since) / 1000)} s`;
    if (mine === "computing" && gone(el)) caption.replaceChildren(html("p", {}, "The kernel ended before the visualization was done."));
    else if (mine === "computing") {
      const seconds = html("p", { "aria-live": "off" }, waiting());
      caption.replaceChildren(seconds);
      clock = setInterval(() => (seconds.isConnected ? (seconds.textContent = waiting()) : clearInterval(clock)), 1000);
    } else caption.replaceChildren(html("p", {}, picture.note));
  }

  function excites(card) {
    const grid = html("ol", { class: "examples" });
    const slots = card.examples.map((example) => {
      const where = example.heat ? { ...example.heat, values: new Uint8Array(example.heat.values.buffer, example.heat.values.byteOffset, example.heat.values.byteLength) } : null;
      const spoken = `${example.concept}, ${example.rendering}, activation ${number(example.value)}` + (where ? `, most excited at the ${where.peak}` : "");
      const { called } = example, pick = () => (looked(called), choose(root, "image", called));
      const thumb = html("div", { class: "thumb", tabindex: 0, "aria-label": spoken, ...(called ? { role: "button", "aria-pressed": String(called === chosen), "data-called": called, onclick: pick, onkeydown: (event) => [" ", "Enter"].includes(event.key) && (event.preventDefault(), pick()) } : { role: "img" }) });
      grid.append(html("li", {}, thumb, html("div", { class: "what", title: `${example.concept}, ${example.rendering}` }, html("b", {}, example.concept), html("i", {}, aligned(example.value)), html("span", {}, example.rendering))));
      return [thumb, where];
    });
    bitmap(card.atlas.image).then((atlas) => slots.forEach(([thumb, where], i) => {
      const { tile, columns } = card.atlas;
      thumb.replaceChildren(painted(tile, tile, (pen) => pen.drawImage(atlas, tile * (i % columns), tile * Math.floor(i / columns), tile, tile, 0, 0, tile, tile), { "aria-hidden": "true" }), ...(where ? overlays(where) : []));
    }));
    const spread = slots.some(([, where]) => where);
    return section("excites", "What excites it", spread ? "Strongest stimuli. The outline is where the unit is above half of its peak; hover or focus one to dim the rest." : "Strongest stimuli.",
      spread && html("button", { type: "button", class: "where", "aria-pressed": String(root.hasAttribute("data-where")), "aria-keyshortcuts": "h", onclick: toggle }, "Show where ", html("kbd", {}, "H")), grid);
  }

  // The picture that was chosen, here or in another view.
  function looked(called) {
    chosen = called;
    for (const thumb of body.querySelectorAll("[data-called]")) thumb.setAttribute("aria-pressed", String(thumb.dataset.called === called));
  }

  function responds({ responses, statistics }) {
    if (!responses.concepts.length) return null;
    const idle = "Mean activation with its 95% confidence interval; bars start at zero.";
    const readout = html("p", { class: "hint readout" }, idle);
    const explain = (concept, rendering, { mean, margin, sd, n }) =>
      (readout.textContent = `${concept}, ${rendering}: mean ${number(mean)} \u00b1 ${number(margin, 2)} (95% CI), sd ${number(sd, 2)}, n = ${n}`);
    const rows = responses.concepts.flatMap((concept, i) => responses.renderings.map((rendering, j) => {
      const { mean, sd, n } = responses.cells[i][j] ?? {};
      return [concept, rendering, number(mean), number(sd), n === undefined ? "0" : String(n)];
    }));
    return section("responds", "Response by concept and rendering", null, readout,
      plot((width) => responseChart(width, responses, leader({ responses, statistics }), explain), { onpointerleave: () => (readout.textContent = idle) }),
      html("details", {}, html("summary", {}, "The numbers"), table(["concept", "rendering", "mean", "sd", "n"], rows)));
  }

  function sure({ statistics: found, verdict: told }) {
    const weakest = found && Math.min(...found.auroc.map(([, a]) => a ?? 1));
    const fact = (name, value, meaning) => html("div", {}, html("dt", {}, name), html("dd", {}, value), html("dd", { class: "meaning" }, meaning));
    return section("sure", "How sure we are", null, html("p", { class: "plain" }, told.plain),
      found && html("div", { class: "scale", "aria-hidden": "true" }, html("span", {}, "0.5, chance"), html("span", {}, "AUROC"), html("span", {}, "1, always")),
      found && bars(found.auroc.map(([name, a]) => [name, 2 * a - 1, known(a) ? a.toFixed(3) : number(a), a === weakest && "chosen"])),
      found && html("dl", {},
        fact("score", aligned(found.score), "AUROC in the weakest rendering"),
        fact("q", probability(found.q), "share of false finds if all this strong were accepted"),
        fact("p", probability(found.p), "one-sided rank test, weakest rendering"),
        fact("n", number(found.n), "held-out stimuli in each rendering, at least"),
        fact("d\u2032", aligned(found.d_prime), "distance to other concepts in sd, at least"),
        fact("gap", aligned(found.gap), "d\u2032 of the written word minus that of the pictures")),
      html("p", { class: "hint" }, told.caution));
  }

  function histogram({ histogram: bins, statistics, responses }) {
    const chosen = leader({ responses, statistics });
    const total = (counts) => counts.reduce((a, b) => a + b, 0).toLocaleString("en");
    return section("spread", "All activations", null,
      html("p", { class: "hint legend" }, html("i", { class: "every" }), `all stimuli (n = ${total(bins.counts)})`,
        chosen && html("i", { class: "chosen" }), chosen && `\u201c${chosen}\u201d (n = ${total(bins.top)})`),
      plot((width) => histogramChart(width, bins)), html("p", { class: "axis-name" }, "activation; each group is drawn as a share of its own stimuli"));
  }

  function words({ words: found }) {
    if (!found.length) return null;
    const most = Math.max(...found.map(([, score]) => Math.abs(score))) || 1;
    return section("words", "Words it pulls towards", "What one standard deviation more of this unit adds to an image\u2019s similarity with a word, over the average word (least squares over the stimuli).",
      bars(found.map(([word, score]) => [word, score / most, number(score, 2)])));
  }

  function plot(paint, attributes = {}) {
    const host = html("div", { class: "plot", ...attributes });
    charts.push([host, paint]);
    return host;
  }

  function redraw() {
    for (const [host, paint] of charts) {
      host.replaceChildren();
      if (host.clientWidth) host.replaceChildren(paint(host.clientWidth));
    }
  }

  // -- following the model

  const said = () => (complain(model.get("notice")), walk());
  const changes = { card: draw, index: draw, listed: enlist, picture: show, notice: said };
  for (const [name, act] of Object.entries(changes)) model.on(`change:${name}`, act);
  const ended = () => {
    const waited = current(), { index } = model.get("card");
    if (waited !== index) (model.set("index", index), complain(`Unit ${waited} was not computed before the kernel ended.`));
    show();
  };
  el.addEventListener("lens:gone", ended);
  const links = [whenChosen(root, "unit", hear), whenChosen(root, "image", looked)];
  let width = 0;
  const watch = new ResizeObserver(() => root.clientWidth !== width && ((width = root.clientWidth), redraw()));
  watch.observe(root);
  enlist();
  draw();
  model.send({ kind: "open" });
  return () => {
    el.removeEventListener("lens:gone", ended);
    links.forEach((unlink) => unlink());
    watch.disconnect();
    clearInterval(clock);
    for (const [name, act] of Object.entries(changes)) model.off(`change:${name}`, act);
  };
}

export default { render: alive(render) };
