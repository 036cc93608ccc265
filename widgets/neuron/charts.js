// What the neuron page draws: where a stimulus excites the unit, and how it answers to the others.

import { common, cut, html, known, label, number, painted, power, share, svg, ticks } from "../draw.js";

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
export function overlays(heat) {
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

export function responseChart(width, { concepts, renderings, cells }, top, explain) {
  const names = Math.min(130, Math.max(56, 16 + 7.2 * Math.max(...concepts.map((c) => c.length))));
  const gap = 10, row = 24, head = 22;
  const column = Math.max(40, (width - names - gap * renderings.length) / renderings.length);
  const full = names + renderings.length * (column + gap);
  const height = head + row * concepts.length + 20;
  const all = cells.flat().filter((cell) => cell && known(cell.mean));
  const low = Math.min(0, ...all.map((cell) => cell.mean - cell.margin));
  const high = Math.max(0, ...all.map((cell) => cell.mean + cell.margin));
  const x = (value) => (column * (value - low)) / (high - low || 1);
  // Zero and the outermost marks, where there is room for them beside it and in the column.
  const outermost = ticks(low, high, 3).filter((mark, i, every) => i === 0 || i === every.length - 1);
  const omitted = common(low, high);
  const named = (mark) => label(mark / 10 ** omitted);
  const room = (mark) => (x(mark) - x(0)) * Math.sign(mark) > 3.2 * named(mark).length + 8
    && Math.abs(x(mark) - column / 2) < (column + gap) / 2 - 3.2 * named(mark).length;
  const marks = [0, ...outermost.filter(room)];
  const chart = svg("svg", { width: full, height, viewBox: `0 0 ${full} ${height}`, role: "img",
    "aria-label": `Mean activation for ${concepts.length} concepts in ${renderings.length} renderings; the numbers are in the table below` });
  concepts.forEach((concept, i) => {
    const y = head + row * i + row / 2;
    chart.append(svg("text", { x: names - 10, y: y + 4, "text-anchor": "end", class: concept === top ? "strong" : "" }, cut(concept, names - 10)));
  });
  renderings.forEach((rendering, j) => {
    const left = names + j * (column + gap);
    const bottom = head + row * concepts.length;
    chart.append(svg("text", { x: left, y: 12, class: "soft" }, cut(rendering, column + gap)));
    concepts.forEach((concept, i) => {
      const cell = cells[i][j];
      const y = head + row * i + row / 2;
      if (!cell || !known(cell.mean)) return chart.append(svg("text", { x: left + x(0) + 3, y: y + 4, class: "soft" }, "\u2013"));
      const group = svg("g", { class: concept === top ? "cell top" : "cell", onpointerenter: () => explain(concept, rendering, cell) });
      const ends = [x(Math.min(0, cell.mean)), x(Math.max(0, cell.mean))];
      group.append(svg("rect", { class: "hit", x: left, y: y - row / 2, width: column, height: row }));
      group.append(svg("rect", { class: "bar", x: left + ends[0], y: y - 6, width: Math.max(1, ends[1] - ends[0]), height: 12, rx: 1.5 }));
      const whisker = [x(cell.mean - cell.margin), x(cell.mean + cell.margin)];
      group.append(svg("path", { class: "whisker", d: `M${left + whisker[0]} ${y}H${left + whisker[1]}M${left + whisker[0]} ${y - 3}v6M${left + whisker[1]} ${y - 3}v6` }));
      chart.append(group);
    });
    chart.append(svg("path", { class: "axis", d: `M${left + x(0)} ${head - 2}V${bottom + 2}` }));
    marks.forEach((mark) => chart.append(svg("text", { class: "tick", x: left + x(mark), y: bottom + 15, "text-anchor": "middle" }, named(mark))));
  });
  if (omitted) chart.append(svg("text", { class: "tick", x: names - 10, y: height - 5, "text-anchor": "end" }, power(omitted)));
  return chart;
}

export function histogramChart(width, { edges, counts, top }) {
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
  const omitted = common(first, last);
  ticks(first, last, width / 60).forEach((mark) => chart.append(
    svg("text", { class: "tick", x: x(mark), y: bottom + 16, "text-anchor": "middle" }, label(mark / 10 ** omitted))));
  if (omitted) chart.append(svg("text", { class: "tick", x: left - 6, y: bottom + 16, "text-anchor": "end" }, power(omitted)));
  chart.append(svg("path", { class: "axis", d: `M${left} ${bottom}H${width - 8}` }));
  return chart;
}

// Names, bars and numbers: [[name, length from 0 to 1, text, class]].
export const bars = (rows) => html("ol", { class: "bars" }, ...rows.map(([name, length, text, kind]) => {
  const bar = html("i");
  bar.style.width = `${Math.max(0, 100 * length)}%`;
  return html("li", { class: kind }, html("span", { title: name }, name), html("div", { "aria-hidden": "true" }, bar), html("b", {}, text));
}));
