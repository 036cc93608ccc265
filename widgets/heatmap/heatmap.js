// The heat map: which pixels or words an answer comes from.
//
// State that Python (or the exported page's host) sends:
//   about      what is explained and how, and the ends of the scale; image, text, unit: as link.js calls them; grid: rows, columns
//   picture    {image, height, width, heat: a signed byte a pixel}, or {} for a text
//   words      [[token, score]] of a text
//   places     [[row, column, score]]: the largest numbers
//   blend, threshold   in [0, 1]; the page sets them
//   checked    the page sets it to ask for the sanity check, and is answered with
//   sanity     [{shuffled, down_to, spearman, spearman_abs}]
//   notice     one sentence about what went wrong, or ""
//   offline    true in an exported page

import { alive, gone } from "../alive.js";
import { choose, placeIn, tokenOf, whenChosen, wordIn } from "../link.js";
import { bitmap, html, known, number, share } from "../draw.js";
import { css, grey, ramp, scaleLegend } from "../scale.js";

const NEUTRAL = [200, 200, 200];

function render({ model, el }) {
  const about = model.get("about"), { image, height, width, heat: raw } = model.get("picture"), words = model.get("words");
  const heat = raw && new Int8Array(raw.buffer, raw.byteOffset, raw.byteLength);
  let ground = null, here = null;          // here: [row, column] of what is marked

  const notice = html("p", { class: "notice", role: "status" });
  const canvas = heat && html("canvas", { width, height, role: "img" });
  const readout = html("p", { class: "hint readout", role: "status" });
  const range = (name, spoken) => {
    const input = html("input", { type: "range", min: 0, max: 100, "aria-label": spoken, oninput: () => (model.set(name, input.value / 100), model.save_changes(), paint()) });
    input.value = 100 * model.get(name);
    return input;
  };
  const blend = range("blend", "Blend of picture and map"), threshold = range("threshold", "Hide what is weaker than");
  const cut = html("output");
  const plain = (plainHeat) => html("details", {}, html("summary", {}, "The numbers"), plainHeat);
  const table = (head, rows) => html("table", {}, html("thead", {}, html("tr", {}, ...head.map((text) => html("th", { scope: "col" }, text)))),
    html("tbody", {}, ...rows.map((row) => html("tr", {}, ...row.map((text) => html("td", {}, html("bdi", {}, text)))))));
  const chips = words.map(([token, score], i) => {
    const mark = html("b", { "aria-hidden": "true" });
    const node = html("button", { type: "button", class: "chip", title: token, "aria-pressed": "false", onclick: () => say(i) }, html("bdi", {}, token.trim() || "\u2423"), mark, html("i", {}, number(score)));
    return { node, mark, score };
  });
  const colours = ramp([...(about.low ? [about.against] : []), NEUTRAL, ...(about.high ? [about.for] : [])].concat(about.low || about.high ? [] : [NEUTRAL]));
  const legend = scaleLegend(colours, about.low && about.high ? "0" : "");
  legend.say(...about.labels);
  const sanity = html("div", { class: "sanity" });
  const marker = html("i", { class: "marker", hidden: true, "aria-hidden": "true" });
  const unit = about.unit && html("button", { type: "button", class: "unit", "aria-pressed": "false", onclick: () => (look("unit", about.unit), choose(root, "unit", about.unit)) }, "Show the unit");

  const root = html("div", { class: "lens lens-heatmap", role: "region", "aria-label": "Heat map", "data-lm-suppress-shortcuts": "true" },
    html("article", { class: "page" },
      html("header", {}, html("p", { class: "crumbs" }, about.model), html("h1", { dir: "auto", title: about.target }, about.target), html("p", { class: "how" }, about.how, unit)),
      notice,
      html("div", { class: "body" },
        html("section", { "aria-label": "Map" }, heat ? html("div", { class: "frame", tabindex: 0, role: "group", "aria-label": "Places of the picture: arrow keys walk, and other views follow", onpointermove: under, onpointerleave: paint, onclick: clicked, onkeydown: keys }, canvas, marker) : html("ul", { class: "chips", "aria-label": "Tokens" }, ...chips.map(({ node }) => html("li", {}, node))), legend.node, readout),
        html("section", { class: "side", "aria-label": "Settings and numbers" },
          html("div", { class: "settings" }, heat && html("label", {}, html("span", {}, "Map over picture"), blend), html("label", {}, html("span", {}, "Hide below ", cut), threshold)),
          html("h2", {}, "What it explains"), html("p", {}, about.numbers),
          html("h2", {}, "Does it depend on the model?"), sanity,
          plain(heat ? table(["row", "column", "score"], model.get("places").map(([r, c, score]) => [String(r + 1), String(c + 1), number(score)])) : table(["token", "score"], words.map(([token, score]) => [token, number(score)])))))));
  el.replaceChildren(root);

  function paint() {
    const least = Number(threshold.value) / 100, cover = Number(blend.value) / 100;
    cut.textContent = `${threshold.value}% of the strongest colour`;
    let left = 0;
    if (heat) {
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      if (ground) pen.drawImage(ground, 0, 0, width, height);
      else pen.fillStyle = css(NEUTRAL), pen.fillRect(0, 0, width, height);
      const pixels = pen.getImageData(0, 0, width, height), { data } = pixels;
      for (let i = 0; i < heat.length; i++) {
        const size = Math.abs(heat[i]) / 127;
        if (!size || size < least) continue;
        left++;
        const rgb = heat[i] > 0 ? about.for : about.against, alpha = size * cover;
        // Neither black nor white below it, so that both colours stand out everywhere.
        for (let c = 0; c < 3; c++) data[4 * i + c] = (70 + (data[4 * i + c] * 185) / 255) * (1 - alpha) + rgb[c] * alpha;
      }
      if (cover > 0) for (let i = 0; i < heat.length; i++) if (!heat[i] || Math.abs(heat[i]) / 127 < least) for (let c = 0; c < 3; c++) data[4 * i + c] = 70 + (data[4 * i + c] * 185) / 255;
      pen.putImageData(pixels, 0, 0);
      readout.textContent = `${share(left / heat.length)} of ${heat.length.toLocaleString("en")} pixels drawn.`;
      const [r, c, score] = model.get("places")[0] ?? [];
      canvas.setAttribute("aria-label", `Heat map of ${about.target.slice(0, 200)}` + (known(score) ? `; strongest at row ${r + 1}, column ${c + 1}: ${number(score)}` : ""));
    }
    for (const { mark, score, node } of chips) {
      const size = Math.min(1, Math.abs(score ?? 0) / (about.most || 1)), faint = size < least;
      left += !faint;
      node.toggleAttribute("data-faint", faint);
      mark.style.background = faint ? "none" : css(colours[Math.round(255 * (about.low && about.high ? 0.5 + 0.5 * Math.sign(score) * size : about.low ? 1 - size : size))]);
    }
    if (!heat) readout.textContent = `${left} of ${chips.length} tokens drawn.`;
  }

  // -- what is chosen, here and in other views

  // A picture, a text or a unit: this view is about it, or not.
  function look(kind, id) {
    root.toggleAttribute("data-chosen", Boolean(id) && about[kind] === id);
    if (unit) unit.setAttribute("aria-pressed", String(kind === "unit" && about.unit === id));
  }

  // A place, in shares of the picture; null lets go.
  function mark(row, column, rows, columns) {
    marker.hidden = false;
    for (const [side, value] of [["top", row / rows], ["left", column / columns], ["height", 1 / rows], ["width", 1 / columns]]) marker.style[side] = `${100 * value}%`;
    const [top, bottom] = [row, row + 1].map((v) => Math.round((v / rows) * height)), [left, right] = [column, column + 1].map((v) => Math.round((v / columns) * width));
    let sum = 0;
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += heat[y * width + x];
    const mean = sum / Math.max(1, (bottom - top) * (right - left));
    readout.textContent = `Row ${row + 1} of ${rows}, column ${column + 1} of ${columns}: about ${number((mean / 127) * about.most, 2)} a pixel`;
    const [own, across] = about.grid;
    here = [Math.floor(((row + 0.5) / rows) * own), Math.floor(((column + 0.5) / columns) * across)];
  }

  function point(row, column) {
    const [rows, columns] = about.grid;
    mark(row, column, rows, columns);
    look("image", about.image);
    choose(root, "image", about.image);
    choose(root, "token", placeIn(about.image, row, column, rows, columns));
  }

  function clicked(event) {
    const box = canvas.getBoundingClientRect(), [rows, columns] = about.grid;
    const at = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
    point(at((event.clientY - box.top) / box.height, rows), at((event.clientX - box.left) / box.width, columns));
  }

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const [rows, columns] = about.grid, [row, column] = here ?? [Math.floor((rows - 1) / 2), Math.floor((columns - 1) / 2)];
    const to = { ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], Enter: [row, column], " ": [row, column] }[event.key];
    if (event.key === "Escape") [marker.hidden, here] = [true, null], paint();
    else if (to) point(Math.min(rows - 1, Math.max(0, to[0])), Math.min(columns - 1, Math.max(0, to[1])));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function press(i) {
    chips.forEach(({ node }, j) => node.setAttribute("aria-pressed", String(i === j)));
  }
  function say(i) {
    press(i);
    look("text", about.text);
    choose(root, "text", about.text);
    choose(root, "token", wordIn(about.text, i, words[i][0]));
  }

  function hear(id) {
    const told = tokenOf(id);
    if (told?.place && heat && told.owner === about.image) mark(...told.place);
    else if (told?.word !== undefined && told.owner === about.text && words[told.number]?.[0] === told.word) press(told.number);
  }

  function under(event) {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * width), y = Math.floor(((event.clientY - box.top) / box.height) * height);
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const level = heat[y * width + x];
    readout.textContent = `Pixel ${x + 1}, ${y + 1}: ${Math.abs(level) === 127 ? "at least " : "about "}${number((level / 127) * about.most, 2)}`;
  }

  function check() {
    const rows = model.get("sanity") ?? [];
    if (rows.length) {
      const last = rows.at(-1), decided = known(last.spearman) && known(last.spearman_abs);
      const another = Math.max(Math.abs(last.spearman), Math.abs(last.spearman_abs)) < 0.3;
      const verdict = !decided ? "The check is undecided: one of the maps is the same everywhere." : another ? "The map depends on the model: with shuffled weights it is another one." : "Beware: much of the map stays when the weights are shuffled. It shows the input more than the model.";
      sanity.replaceChildren(html("p", { class: "verdict", "data-level": decided && another ? "good" : "doubt" }, verdict),
        html("p", { class: "hint" }, "Rank correlation with the map of a copy whose weights are shuffled from the top layer down; near 0 in the last row is good (below 0.3 is called another map here)."),
        table(["layers shuffled", "down to", "correlation", "of sizes"], rows.map((row) => [String(row.shuffled), row.down_to, number(row.spearman, 2), number(row.spearman_abs, 2)])));
      return;
    }
    const may = about.checkable && !model.get("offline") && !gone(el);
    const button = html("button", { type: "button", class: "plain", onclick: () => {
      if (button.getAttribute("aria-disabled")) return;
      button.setAttribute("aria-disabled", "true");
      button.textContent = "Shuffling the weights\u2026";
      model.set("checked", true);
      model.save_changes();
    } }, "Shuffle the weights and compare");
    sanity.replaceChildren(may ? button : html("p", { class: "hint" }, "The sanity check was not made; .check() makes it."));
  }

  const said = () => ((notice.textContent = model.get("notice")), check());
  const follow = () => ((blend.value = 100 * model.get("blend")), (threshold.value = 100 * model.get("threshold")), paint());
  const changes = { sanity: check, notice: said, blend: follow, threshold: follow };
  for (const [name, act] of Object.entries(changes)) model.on(`change:${name}`, act);
  el.addEventListener("lens:gone", check);
  const links = [...["image", "text", "unit"].map((kind) => whenChosen(root, kind, (id) => look(kind, id))), whenChosen(root, "token", hear)];
  check();
  paint();
  if (image) bitmap(image).then((found) => ((ground = grey(found)), paint()));
  return () => {
    el.removeEventListener("lens:gone", check);
    links.forEach((unlink) => unlink());
    for (const [name, act] of Object.entries(changes)) model.off(`change:${name}`, act);
  };
}

export default { render: alive(render) };
