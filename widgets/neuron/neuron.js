// The neuron page: what one unit wants, what excites it, and how sure we are.
//
// State that Python (or the exported page's host) sends:
//   index    the unit asked for; the page sets it, and is answered with a card
//   card     everything about one unit but its picture; images lie in one WebP atlas
//   picture  its feature visualization: {index, state: computing | ready | failed | off, ...}
//   listed   [{index, label}] the units that previous and next walk through, or []
//   notice   one sentence about what went wrong, or ""
//   offline  true in an exported page, which holds the listed units only
//
// Text from data becomes text nodes and attributes, never markup.

const element = (space) => (tag, attributes = {}, ...children) => {
  const node = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
};
const html = element("http://www.w3.org/1999/xhtml");
const svg = element("http://www.w3.org/2000/svg");

// ---- numbers as people read them

const MINUS = "\u2212";
const known = (x) => typeof x === "number" && Number.isFinite(x);
const signed = (text) => text.replace("-", MINUS);

function number(x, digits = 3) {
  if (!known(x)) return "\u2013";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-3) return scientific(x);
  return signed(String(size >= 100 ? Math.round(x) : Number(x.toPrecision(digits))));
}

function scientific(x) {
  const [mantissa, power] = x.toExponential(1).split("e");
  const raised = [...String(Number(power))].map((c) => (c === "-" ? "\u207b" : "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[c]));
  return `${signed(mantissa)}\u00d710${raised.join("")}`;
}

// A probability that underflowed is small, not zero.
const probability = (p) => (p === 0 ? `< ${scientific(1e-300)}` : number(p, 2));
const aligned = (x) => (known(x) && Math.abs(x) >= 0.01 && Math.abs(x) < 1000 ? signed(x.toPrecision(3)) : number(x));
const share = (x) => `${number(100 * x, 2)}%`;

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((m) => m * unit >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found;
}

const label = (x) => number(Math.abs(x) < 1e-12 ? 0 : x, 3);
const cut = (text, width) => {
  const room = Math.max(3, Math.floor(width / 6.2));
  return text.length > room ? `${text.slice(0, room - 1)}\u2026` : text;
};

// ---- images

const bitmap = (bytes) => createImageBitmap(new Blob([bytes], { type: "image/webp" }));

function painted(width, height, paint, attributes) {
  const canvas = html("canvas", { width, height, ...attributes });
  if (paint) paint(canvas.getContext("2d"));
  return canvas;
}

// A small grid of heat, enlarged smoothly to `size` pixels; row-major values in [0, 1].
function field({ height, width, values }, size) {
  const small = painted(width, height, (pen) => {
    const image = pen.createImageData(width, height);
    values.forEach((value, i) => (image.data[4 * i + 3] = value));
    pen.putImageData(image, 0, 0);
  });
  const large = painted(size, size);
  const pen = large.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, size, size);
  const { data } = pen.getImageData(0, 0, size, size);
  return Float32Array.from({ length: size * size }, (_, i) => data[4 * i + 3] / 255);
}

// Two overlays for one thumbnail: an outline at half of the peak, and a veil over what did not excite.
function overlays(heat) {
  const size = 192;
  const values = field(heat, size);
  const half = 0.5 * values.reduce((a, b) => Math.max(a, b), 0);
  const inside = (x, y) => values[size * Math.min(size - 1, Math.max(0, y)) + Math.min(size - 1, Math.max(0, x))] >= half;
  const edge = (i, reach) => {
    const x = i % size, y = Math.floor(i / size), here = inside(x, y);
    return [[reach, 0], [-reach, 0], [0, reach], [0, -reach]].some(([dx, dy]) => inside(x + dx, y + dy) !== here);
  };
  const layer = (name, colour) => painted(size, size, (pen) => {
    const image = pen.createImageData(size, size);
    values.forEach((value, i) => image.data.set(colour(value, i), 4 * i));
    pen.putImageData(image, 0, 0);
  }, { class: name, "aria-hidden": "true" });
  return [
    layer("veil", (value) => [12, 14, 22, 215 * (1 - value)]),
    layer("outline", (_, i) => (edge(i, 2) ? [225, 0, 110, 255] : edge(i, 3) ? [255, 255, 255, 200] : [0, 0, 0, 0])),
  ];
}

// ---- charts, drawn at the width they are given

function responseChart(width, { concepts, renderings, cells }, top, explain) {
  const names = Math.min(130, Math.max(56, 16 + 7.2 * Math.max(...concepts.map((c) => c.length))));
  const gap = 10, row = 24, head = 22;
  const column = Math.max(40, (width - names - gap * renderings.length) / renderings.length);
  const full = names + renderings.length * (column + gap);
  const height = head + row * concepts.length + 20;
  const reach = ({ mean, sd, n }) => (n > 1 && known(sd) ? (1.96 * sd) / Math.sqrt(n) : 0);
  const all = cells.flat().filter((cell) => cell && known(cell.mean));
  const low = Math.min(0, ...all.map((cell) => cell.mean - reach(cell)));
  const high = Math.max(0, ...all.map((cell) => cell.mean + reach(cell))) || 1;
  const x = (value) => (column * (value - low)) / (high - low);
  const chart = svg("svg", { width: full, height, viewBox: `0 0 ${full} ${height}`, role: "img",
    "aria-label": `Mean activation for ${concepts.length} concepts in ${renderings.length} renderings; the numbers are in the table below` });
  concepts.forEach((concept, i) => {
    const y = head + row * i + row / 2;
    chart.append(svg("text", { x: names - 10, y: y + 4, "text-anchor": "end", class: concept === top ? "strong" : "" }, cut(concept, names)));
  });
  renderings.forEach((rendering, j) => {
    const left = names + j * (column + gap);
    const bottom = head + row * concepts.length;
    chart.append(svg("text", { x: left + x(0), y: 12, class: "soft" }, cut(rendering, column + gap)));
    concepts.forEach((concept, i) => {
      const cell = cells[i][j];
      const y = head + row * i + row / 2;
      if (!cell || !known(cell.mean)) return chart.append(svg("text", { x: left + x(0) + 3, y: y + 4, class: "soft" }, "\u2013"));
      const group = svg("g", { class: concept === top ? "cell top" : "cell", onpointerenter: () => explain(concept, rendering, cell) });
      const ends = [x(Math.min(0, cell.mean)), x(Math.max(0, cell.mean))];
      group.append(svg("rect", { class: "hit", x: left, y: y - row / 2, width: column, height: row }));
      group.append(svg("rect", { class: "bar", x: left + ends[0], y: y - 6, width: Math.max(1, ends[1] - ends[0]), height: 12, rx: 1.5 }));
      const whisker = [x(cell.mean - reach(cell)), x(cell.mean + reach(cell))];
      group.append(svg("path", { class: "whisker", d: `M${left + whisker[0]} ${y}H${left + whisker[1]}M${left + whisker[0]} ${y - 3}v6M${left + whisker[1]} ${y - 3}v6` }));
      chart.append(group);
    });
    chart.append(svg("path", { class: "axis", d: `M${left + x(0)} ${head - 2}V${bottom + 2}` }));
    const marks = ticks(low, high, column > 90 ? 3 : 2);
    marks.forEach((mark) => chart.append(svg("text", { class: "tick", x: left + x(mark), y: bottom + 15, "text-anchor": "middle" }, label(mark))));
  });
  return chart;
}

function histogramChart(width, { edges, counts, top }) {
  const height = 170, left = 40, bottom = height - 24;
  const shares = (bins) => bins.map((count) => count / (bins.reduce((a, b) => a + b, 0) || 1));
  const [every, chosen] = [shares(counts), shares(top)];
  const high = Math.max(...every, ...chosen) || 1;
  const first = edges[0], last = edges[edges.length - 1];
  const x = (value) => left + ((width - left - 8) * (value - first)) / (last - first || 1);
  const y = (value) => bottom - ((bottom - 8) * value) / high;
  const steps = (values) => `M${x(first)} ${bottom}` + values.map((v, i) => `V${y(v)}H${x(edges[i + 1])}`).join("") + `V${bottom}Z`;
  const chart = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Histogram of activations from ${number(first)} to ${number(last)}: all stimuli against the top concept's` });
  ticks(0, high, 3).forEach((mark) => chart.append(
    svg("path", { class: "grid", d: `M${left} ${y(mark)}H${width - 8}` }),
    svg("text", { class: "tick", x: left - 6, y: y(mark) + 4, "text-anchor": "end" }, mark ? share(mark) : "0")));
  chart.append(svg("path", { class: "every", d: steps(every) }), svg("path", { class: "chosen", d: steps(chosen) }));
  ticks(first, last, width / 60).forEach((mark) => chart.append(
    svg("text", { class: "tick", x: x(mark), y: bottom + 16, "text-anchor": "middle" }, label(mark))));
  chart.append(svg("path", { class: "axis", d: `M${left} ${bottom}H${width - 8}` }));
  return chart;
}

// Names, bars and numbers: [[name, length from 0 to 1, text, class]].
const bars = (rows) => html("ol", { class: "bars" }, ...rows.map(([name, length, text, kind]) => {
  const bar = html("i");
  bar.style.width = `${Math.max(0, 100 * length)}%`;
  return html("li", { class: kind }, html("span", { title: name }, name), html("div", { "aria-hidden": "true" }, bar), html("b", {}, text));
}));

// ---- the page

const arrow = (way) => svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
  svg("path", { d: way < 0 ? "M10 3 5 8l5 5" : "M6 3l5 5-5 5", fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round" }));

const section = (name, title, hint, ...children) =>
  html("section", { class: name, "aria-label": title }, html("h2", {}, title), hint && html("p", { class: "hint" }, hint), ...children);

const table = (head, rows) => html("table", {},
  html("thead", {}, html("tr", {}, ...head.map((text) => html("th", { scope: "col" }, text)))),
  html("tbody", {}, ...rows.map((row) => html("tr", {}, ...row.map((text) => html("td", {}, text))))));

function render({ model, el }) {
  const charts = [];                       // [host, draw(width)] pairs, drawn again when the page changes width
  let clock = null;

  const listed = () => model.get("listed") ?? [];
  const current = () => model.get("index");
  const n = () => model.get("card").n_units;

  const crumbs = html("p", { class: "crumbs" });
  const title = html("h1");
  const verdict = html("p", { class: "verdict" });
  const notice = html("p", { class: "notice", role: "status", "aria-live": "polite" });
  const previous = html("button", { type: "button", class: "previous", "aria-keyshortcuts": "ArrowLeft", onclick: () => go(step(-1)) }, arrow(-1));
  const next = html("button", { type: "button", class: "next", "aria-keyshortcuts": "ArrowRight", onclick: () => go(step(1)) }, arrow(1));
  const wanted = html("input", { inputmode: "numeric", autocomplete: "off", "aria-label": "Jump to unit", size: 5 });
  const total = html("span");
  const jump = html("form", { class: "jump", title: "Jump to a unit ( / )", onsubmit: (event) => (event.preventDefault(), go(parsed(wanted.value))) }, html("span", {}, "Unit"), wanted, total);
  const list = html("nav", { class: "listed", "aria-label": "Units in this list" });
  const body = html("div", { class: "body" });
  const page = html("article", { class: "page" },
    html("header", {}, html("div", {}, crumbs, title), html("div", { class: "walk", role: "group", "aria-label": "Choose a unit" }, previous, jump, next), verdict),
    notice, list, body,
    html("p", { class: "hint keys" }, ...[["\u2190", ""], ["\u2192", "other units"], ["/", "jump"], ["H", "where it looks"]].flatMap(([key, use]) => [html("kbd", {}, key), ` ${use} `])));
  // JupyterLab would otherwise take the arrow keys and letters for its own commands.
  const root = html("div", { class: "lens-neuron", tabindex: 0, role: "region", "aria-label": "Neuron page", "data-lm-suppress-shortcuts": "true", onkeydown: keys }, page);
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

  function go(index) {
    if (index === null) return;
    if (index < 0 || index >= n()) {
      return complain(`Unit ${signed(String(index))} does not exist: ${model.get("card").site} has units 0 to ${n() - 1}.`);
    }
    if (model.get("offline") && !listed().some((unit) => unit.index === index)) {
      return complain(`Unit ${index} is not in this saved page, which holds ${listed().length} of the ${n()} units.`);
    }
    complain("");
    if (index === current()) return walk();
    model.set("index", index);
    model.save_changes();
  }

  function complain(text) {
    notice.textContent = text;
    wanted.setAttribute("aria-invalid", text ? "true" : "false");
  }

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target === wanted) return;
    const act = { ArrowLeft: () => go(step(-1)), ArrowRight: () => go(step(1)), h: toggle, "/": () => wanted.select() }[event.key.length > 1 ? event.key : event.key.toLowerCase()];
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
    wanted.value = String(current());
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

  async function show() {
    clearInterval(clock);
    const picture = model.get("picture") ?? {};
    const frame = body.querySelector(".picture"), caption = body.querySelector(".caption");
    if (!frame || model.get("card").index !== current()) return;
    const mine = picture.index === current() ? picture.state : "computing";
    frame.dataset.state = mine;
    if (mine === "ready") {
      const image = await bitmap(picture.image);
      if (!frame.isConnected) return;
      frame.replaceChildren(painted(image.width, image.height, (pen) => pen.drawImage(image, 0, 0), { role: "img", "aria-label": `Image optimized to excite unit ${current()}` }));
      const best = model.get("card").examples[0]?.value;
      caption.replaceChildren(html("p", {}, "An image optimized from noise to excite this unit. It is synthetic: read it beside the real examples."),
        html("p", {}, `Activation ${aligned(picture.value)}`, known(best) ? `; the strongest real example reaches ${aligned(best)}.` : "."),
        html("details", {}, html("summary", {}, "Recipe"), table(["setting", "value"], Object.entries(picture.recipe))));
      return;
    }
    frame.replaceChildren();
    const since = Date.now();
    const waiting = () => `Computing the visualization\u2026 ${Math.round((Date.now() - since) / 1000)} s`;
    if (mine === "computing") {
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
      const thumb = html("div", { class: "thumb", role: "img", tabindex: 0, "aria-label": spoken });
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

  function responds({ responses, statistics }) {
    if (!responses.concepts.length) return null;
    const idle = "Mean activation with its 95% confidence interval; bars start at zero.";
    const readout = html("p", { class: "hint readout" }, idle);
    const explain = (concept, rendering, { mean, sd, n }) =>
      (readout.textContent = `${concept}, ${rendering}: mean ${number(mean)} \u00b1 ${number((1.96 * sd) / Math.sqrt(n), 2)} (95% CI), sd ${number(sd, 2)}, n = ${n}`);
    const rows = responses.concepts.flatMap((concept, i) => responses.renderings.map((rendering, j) => {
      const { mean, sd, n } = responses.cells[i][j] ?? {};
      return [concept, rendering, number(mean), number(sd), n === undefined ? "0" : String(n)];
    }));
    return section("responds", "Response by concept and rendering", null, readout,
      plot((width) => responseChart(width, responses, statistics?.concept, explain), { onpointerleave: () => (readout.textContent = idle) }),
      html("details", {}, html("summary", {}, "The numbers"), table(["concept", "rendering", "mean", "sd", "n"], rows)));
  }

  function sure({ statistics: found, verdict: told }) {
    const weakest = found && Math.min(...found.auroc.map(([, a]) => a ?? 1));
    const fact = (name, value, meaning) => html("div", {}, html("dt", {}, name), html("dd", {}, value), html("dd", { class: "meaning" }, meaning));
    return section("sure", "How sure we are", null, html("p", { class: "plain" }, told.plain),
      found && html("div", { class: "scale", "aria-hidden": "true" }, html("span", {}, "0.5, chance"), html("span", {}, "AUROC"), html("span", {}, "1, always")),
      found && bars(found.auroc.map(([name, a]) => [name, 2 * a - 1, known(a) ? a.toFixed(3) : number(a), a === weakest && "chosen"])),
      found && html("dl", {},
        fact("score", number(found.score), "AUROC in the weakest rendering"),
        fact("q", probability(found.q), "share of false finds if all this strong were accepted"),
        fact("p", probability(found.p), "one-sided rank test, weakest rendering"),
        fact("n", number(found.n), "held-out stimuli in each rendering, at least"),
        fact("d\u2032", number(found.d_prime), "distance to other concepts in sd, at least"),
        fact("gap", number(found.gap), "d\u2032 of the written word minus that of the pictures")),
      html("p", { class: "hint" }, told.caution));
  }

  function histogram({ histogram: bins, statistics }) {
    const total = (counts) => counts.reduce((a, b) => a + b, 0).toLocaleString("en");
    return section("spread", "All activations", null,
      html("p", { class: "hint legend" }, html("i", { class: "every" }), `all stimuli (n = ${total(bins.counts)})`,
        statistics && html("i", { class: "chosen" }), statistics && `\u201c${statistics.concept}\u201d (n = ${total(bins.top)})`),
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
  let width = 0;
  const watch = new ResizeObserver(() => root.clientWidth !== width && ((width = root.clientWidth), redraw()));
  watch.observe(root);
  enlist();
  draw();
  model.send({ kind: "open" });
  return () => {
    watch.disconnect();
    clearInterval(clock);
    for (const [name, act] of Object.entries(changes)) model.off(`change:${name}`, act);
  };
}

export default { render };
