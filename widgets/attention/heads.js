// All layers and heads as a grid of small maps: what is chosen there is what the stage shows.

import { html, known, number, signed } from "../draw.js";
import { coloured } from "../scale.js";

export const MEAN = -1;
export const shortName = (name) => name.replace(/\.attention$/, "").replace(/^(image|text|cross)\./, "");

const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const squared = Float32Array.from({ length: 256 }, (_, i) => (i / 255) ** 2);

function icon({ height, width, values }, heads, head) {
  const all = bytes(values), size = height * width;
  const shares = new Float32Array(size);
  for (let h = 0; h < heads; h++) if (head === MEAN || head === h) for (let i = 0; i < size; i++) shares[i] += squared[all[h * size + i]];
  const most = shares.reduce((a, b) => Math.max(a, b), 0) || 1;
  return coloured(width, height, shares.map((w) => w / most));
}

// `choose(layer, head)` is told what is clicked or entered.
export function headGrid(layers, overview, choose) {
  const many = Math.max(...layers.map((layer) => layer.heads));
  const cells = [];  // rows of {td, layer, head}
  const grid = html("table", { role: "grid", "aria-label": "Layers and heads", onkeydown: keys, onclick: (event) => pick(event.target.closest("td")) });
  const head = html("tr", { role: "row" }, html("th", { role: "columnheader", scope: "col" }, html("span", { class: "spoken" }, "layer")), html("th", { role: "columnheader", scope: "col" }, "mean"),
    ...Array.from({ length: many }, (_, h) => html("th", { role: "columnheader", scope: "col" }, String(h))));
  const rows = layers.map((layer, r) => {
    const heads = layer.heads === 1 ? [layer.rollout ? MEAN : 0] : [MEAN, ...Array.from({ length: layer.heads }, (_, h) => h)];
    cells.push(heads.map((h) => {
      const drawing = icon(overview.icons[layer.name], layer.heads, layer.rollout ? 0 : h);
      drawing.setAttribute("aria-hidden", "true");
      const td = html("td", { role: "gridcell", tabindex: -1, "aria-selected": "false" }, drawing, html("i", { class: "worth", "aria-hidden": "true" }));
      return { td, layer, head: h, row: r };
    }));
    const name = layer.rollout ? "rollout" : shortName(layer.name);
    const single = heads.length === 1 && !layer.rollout ? [html("td", { role: "gridcell", class: "none" })] : [];
    return html("tr", { role: "row" }, html("th", { role: "rowheader", scope: "row", title: layer.name }, name), ...single, ...cells[r].map(({ td }) => td));
  });
  grid.append(html("thead", { role: "rowgroup" }, head), html("tbody", { role: "rowgroup" }, ...rows));
  grid.style.setProperty("--icon", many > 12 ? "28px" : many > 8 ? "40px" : "56px");
  const flat = cells.flat();
  let stop = flat[0];

  const say = ({ layer, head: h }, change) => {
    const who = layer.rollout ? "rollout of all layers" : `${shortName(layer.name)}, ${h === MEAN ? "mean of the heads" : `head ${h}`}`;
    const wide = h !== MEAN && !layer.rollout ? `, entropy ${number(overview.entropy[layer.name][h])} nats` : "";
    return who + wide + (known(change) ? `, without it the similarity changes by ${number(change)}` : "");
  };

  function rove(cell) {
    stop.td.tabIndex = -1;
    (stop = cell).td.tabIndex = 0;
  }
  function pick(td) {
    const cell = flat.find((one) => one.td === td);
    if (!cell) return;
    rove(cell);
    choose(cell.layer, cell.head);
  }
  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const row = cells[stop.row], at = row.indexOf(stop);
    const up = cells[stop.row - 1], down = cells[stop.row + 1];
    const to = {
      ArrowLeft: () => row[at - 1], ArrowRight: () => row[at + 1], Home: () => row[0], End: () => row.at(-1),
      ArrowUp: () => up?.[Math.min(at, up.length - 1)], ArrowDown: () => down?.[Math.min(at, down.length - 1)],
    }[event.key];
    if (to) {
      const cell = to();
      if (cell) (rove(cell), cell.td.focus(), pick(cell.td));
    } else if (event.key === "Enter" || event.key === " ") pick(stop.td);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return {
    node: grid,
    select(name, h) {
      for (const cell of flat) {
        const chosen = cell.layer.name === name && cell.head === h;
        cell.td.setAttribute("aria-selected", String(chosen));
        if (chosen) rove(cell);
      }
    },
    // For each layer the changes of the similarity, a number a head, where they are known.
    worth(changesOf) {
      const found = layers.map((layer) => changesOf(layer)).filter(Boolean);
      const most = Math.max(...found.flatMap((all) => all.map(Math.abs)), 0) || 1;
      for (const cell of flat) {
        const change = cell.head === MEAN ? undefined : changesOf(cell.layer)?.[cell.head];
        const bar = cell.td.querySelector(".worth"), spoken = say(cell, change);
        cell.td.setAttribute("aria-label", spoken);
        cell.td.title = spoken;
        bar.hidden = !known(change);
        if (known(change)) {
          bar.style.width = `${(100 * Math.abs(change)) / most}%`;
          bar.dataset.sign = change < 0 ? "for" : "against";
        }
      }
    },
  };
}

export const asChange = (x) => (x > 0 ? "+" : "") + signed(String(Number(x.toPrecision(2))));
