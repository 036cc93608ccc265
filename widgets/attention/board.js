// The tokens of one side of a layer, to be looked at and chosen from: places of a picture, or words.

import { html, number } from "../draw.js";
import { colour, coloured, css } from "../scale.js";

export const nameOf = (side, i) => {
  if (side.kind === "words") return side.labels[i];
  if (i < side.prefix.length) return side.prefix[i];
  const at = i - side.prefix.length;
  return `row ${Math.floor(at / side.grid[1]) + 1}, column ${(at % side.grid[1]) + 1}`;
};

// acts: probe(i or null), pin(i), free(); `spoken` is what a screen reader calls the whole.
export function makeBoard(side, spoken, acts) {
  const cells = [], numbers = [];
  const cell = (i, attributes, ...children) => (cells[i] = html("div", { role: "gridcell", tabindex: -1, "data-token": i, "aria-label": nameOf(side, i), ...attributes }, ...children));
  const chip = (name, i) => {
    numbers[i] = html("i");
    return cell(i, { class: "chip", title: name }, html("bdi", {}, name.trim() || "\u2423"), html("b", { "aria-hidden": "true" }), numbers[i]);
  };
  const names = side.kind === "words" ? side.labels : side.prefix;
  const chips = html("div", { class: "chips", role: "row" }, ...names.map(chip));
  const [rows, columns] = side.grid ?? [0, 0];
  const canvas = rows > 0 && html("canvas", { "aria-hidden": "true" });
  const frame = rows > 0 && html("div", { class: "frame", role: "presentation" }, canvas, html("div", { class: "cells", role: "rowgroup" },
    ...Array.from({ length: rows }, (_, r) => html("div", { role: "row" }, ...Array.from({ length: columns }, (_, c) => cell(names.length + r * columns + c, { class: "patch" }))))));
  const node = html("div", { class: `board ${side.kind}`, role: "grid", "aria-label": spoken, onkeydown: keys, onpointerover: over, onpointerleave: () => ((pointed = false), acts.probe(null)), onfocusin: focused, onfocusout: left, onclick: clicked },
    names.length > 0 && chips, frame);
  if (rows) frame.style.aspectRatio = `${columns} / ${rows}`;

  const token = (event) => event.target.closest?.("[data-token]")?.dataset.token;
  let stop = 0, marked = [];
  let pointed = false;

  function over(event) {
    const i = token(event);
    acts.probe(i === undefined ? null : Number(i));
  }
  function focused(event) {
    const i = token(event);
    if (i === undefined) return;
    rove(Number(i));
    if (!pointed) acts.probe(Number(i), true);
  }
  function left(event) {
    if (!node.contains(event.relatedTarget)) acts.probe(null);
  }
  function clicked(event) {
    const i = token(event);
    if (i !== undefined) acts.pin(Number(i));
  }
  node.addEventListener("pointerdown", () => (pointed = true), true);
  node.addEventListener("pointerup", () => (pointed = false), true);

  function rove(i) {
    cells[stop].tabIndex = -1;
    cells[(stop = i)].tabIndex = 0;
  }

  rove(0);

  // In the picture arrows go by places; the chips above it are one more row.
  function beside(i, key) {
    const first = names.length, last = cells.length - 1;
    if (key === "Home") return 0;
    if (key === "End") return last;
    if (key === "ArrowLeft") return Math.max(0, i - 1);
    if (key === "ArrowRight") return Math.min(last, i + 1);
    if (key === "ArrowUp") return i < first ? i : i - columns >= first ? i - columns : first ? 0 : i;
    if (key === "ArrowDown") return i < first ? (rows ? first : i) : Math.min(i + columns, last) === i + columns ? i + columns : i;
    return null;
  }

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const to = beside(stop, event.key);
    if (to !== null) cells[to].focus();
    else if (event.key === "Enter" || event.key === " ") acts.pin(stop);
    else if (event.key === "Escape") acts.free();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return {
    node,
    side,
    focus: () => cells[stop].focus(),
    // weights of the tokens, or null; the one they are of, or null; which one stays when nothing is pointed at
    paint({ weights, most, chosen, pinned, picture, blend }) {
      for (const old of marked) cells[old].classList.remove("chosen", "pinned");
      marked = [chosen, pinned].filter((i) => i !== null && i < cells.length);
      if (chosen !== null) cells[chosen]?.classList.add("chosen");
      if (pinned !== null) cells[pinned]?.classList.add("pinned");
      if (pinned !== null && !node.contains(document.activeElement)) rove(Math.min(pinned, cells.length - 1));
      names.forEach((_, i) => {
        numbers[i].textContent = weights ? number(weights[i], 2) : "";
        cells[i].style.setProperty("--heat", weights ? css(colour(most ? weights[i] / most : 0)) : "transparent");
      });
      if (!rows) return;
      const size = picture ?? { width: columns * 16, height: rows * 16 };
      const scale = Math.max(1, Math.ceil(448 / Math.max(size.width, size.height)));
      if (canvas.width !== size.width * scale) [canvas.width, canvas.height] = [size.width * scale, size.height * scale];
      const pen = canvas.getContext("2d");
      pen.globalAlpha = 1;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      if (picture) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
      if (!weights) return;
      pen.globalAlpha = picture ? blend : 1;
      pen.imageSmoothingEnabled = false;
      const shares = Array.from(weights.slice(names.length), (w) => (most ? w / most : 0));
      pen.drawImage(coloured(columns, rows, shares), 0, 0, canvas.width, canvas.height);
    },
  };
}
