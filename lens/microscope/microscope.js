// On every page: the way to the search page, thumbnails, and data that comes by classic scripts
// (a page on the disk can load neither modules nor JSON).
"use strict";
const lens = {
  root: document.body.dataset.root,
  sites: {},
  waiting: {},
  found: null, // the search index

  // Called by search.js.
  index(data) {
    lens.found = data;
  },

  // Called by <site>/data.js.
  site(data) {
    lens.sites[data.number] = data;
    (lens.waiting[data.number] ?? []).forEach((done) => done(data));
  },

  load(number) {
    if (lens.sites[number]) return Promise.resolve(lens.sites[number]);
    return new Promise((done, fail) => {
      (lens.waiting[number] ??= []).push(done);
      const script = lens.html("script", { src: `${lens.root}${number}/data.js` });
      script.onerror = () => fail(new Error(`The data of site ${number} is missing.`));
      document.head.append(script);
    });
  },

  // Text from data becomes text nodes and attributes, never markup.
  html(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child != null && child !== false));
    return node;
  },

  // A unit's visualization out of its file of 64, else the stimulus that excites it most.
  thumb(number, place, drawn, best) {
    if (drawn) {
      const tile = place % 64, at = (i) => `${(100 * i) / 7}%`;
      const node = lens.html("i", { class: "thumb", "aria-hidden": "true" });
      const file = `${lens.root}${number}/thumb/${Math.floor(place / 64)}.webp`;
      node.style.background = `url("${file}") ${at(tile % 8)} ${at(Math.floor(tile / 8))} / 800%`;
      return node;
    }
    if (best != null) return lens.html("img", { class: "thumb", src: `${lens.root}img/${best}.webp`, alt: "", loading: "lazy" });
    return lens.html("i", { class: "thumb none", "aria-hidden": "true" });
  },

  name: (text) => lens.html("bdi", {}, text.length > 80 ? `${text.slice(0, 79)}\u2026` : text),

  number(x, digits = 3) {
    if (x == null) return "\u2013";
    const size = Math.abs(x);
    const text = x !== 0 && size < 1e-3 ? x.toExponential(1) : size >= 100 ? String(Math.round(x)) : x.toPrecision(digits);
    return text.replace("-", "\u2212");
  },

  // A score or an AUROC: never a rounded-up 1.
  share(x) {
    if (x == null) return "\u2013";
    return x < 1 && x >= 0.9995 ? ">0.999" : x.toFixed(3);
  },

  // What stands behind the # of an address, and putting it there without a step in the history.
  hash: () => new URLSearchParams(location.hash.slice(1)),
  setHash(values) {
    const kept = Object.entries(values).filter(([, value]) => value);
    const text = new URLSearchParams(kept).toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  },
};

{
  const form = document.querySelector(".find");
  const input = form.querySelector("input");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.href = `${lens.root}search.html#${new URLSearchParams({ q: input.value })}`;
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.select();
  });
}
