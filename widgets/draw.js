// What every view draws with: elements, numbers as people read them, images.
// Text from data becomes text nodes and attributes, never markup.

const element = (space) => (tag, attributes = {}, ...children) => {
  const node = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null && child !== false && child !== ""));
  return node;
};
export const html = element("http://www.w3.org/1999/xhtml");
export const svg = element("http://www.w3.org/2000/svg");

// ---- numbers as people read them

const MINUS = "\u2212";
export const known = (x) => typeof x === "number" && Number.isFinite(x);
export const signed = (text) => text.replace("-", MINUS);

export function number(x, digits = 3) {
  if (!known(x)) return "\u2013";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-3) return scientific(x);
  return signed(String(size >= 100 ? Math.round(x) : Number(x.toPrecision(digits))));
}

export const power = (exponent) => "\u00d710" + [...String(exponent)].map((c) =>
  (c === "-" ? "\u207b" : "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[c])).join("");

function scientific(x) {
  const [mantissa, exponent] = x.toExponential(1).split("e");
  return signed(mantissa) + power(Number(exponent));
}

// The power of ten that the labels of an axis leave out: 0 unless they would be long.
export function common(low, high) {
  const exponent = Math.floor(Math.log10(Math.max(Math.abs(low), Math.abs(high)) || 1));
  return exponent < -2 || exponent > 3 ? exponent : 0;
}

// A probability that underflowed is small, not zero.
export const probability = (p) => (p === 0 ? `< ${scientific(1e-300)}` : number(p, 2));
export const aligned = (x) => (known(x) && Math.abs(x) >= 0.01 && Math.abs(x) < 1000 ? signed(x.toPrecision(3)) : number(x));
export const share = (x) => `${number(100 * x, 2)}%`;

export function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((m) => m * unit >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found;
}

export const label = (x) => number(Math.abs(x) < 1e-12 ? 0 : x, 3);
export const cut = (text, width) => {
  const room = Math.max(3, Math.floor(width / 7));
  return text.length > room ? `${text.slice(0, room - 1)}\u2026` : text;
};

// ---- images

export const bitmap = (bytes) => createImageBitmap(new Blob([bytes], { type: "image/webp" }));

export function painted(width, height, paint, attributes) {
  const canvas = html("canvas", { width, height, ...attributes });
  if (paint) paint(canvas.getContext("2d"));
  return canvas;
}
