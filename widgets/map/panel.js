// What stands beside the map: legend, search, selection and labels, quality, and a table of the points.

import { html, number, share } from "../draw.js";

export const many = (n, one, several = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : several}`;
const PAGE = 20;

export const part = (name, title, ...children) => html("section", { class: name, "aria-label": title }, html("h3", {}, title), ...children);

// The colours and what they mean. act(code) selects the points of a category.
export function legend(colour, palette, act) {
  if (!colour.names.length) {
    const bar = html("div", { class: "ramp", role: "img", "aria-label": `Colours from ${number(colour.low)} to ${number(colour.high)}` });
    bar.style.background = `linear-gradient(90deg, ${palette.ramp.join(", ")})`;
    return html("div", { class: "scale" }, bar, html("div", {}, html("span", {}, number(colour.low)), html("span", {}, number(colour.high))));
  }
  const rest = colour.names.length - palette.categories.length;
  const rows = colour.names.map((name, code) => {
    const dot = html("i", { "aria-hidden": "true" });
    dot.style.background = palette.categories[code] ?? palette.none;
    return html("li", {}, html("button", { type: "button", title: name.slice(0, 300), onclick: (event) => act(code, event) },
      dot, html("span", {}, name.slice(0, 300)), html("b", {}, colour.counts[code].toLocaleString("en"))));
  });
  return html("div", {}, html("ol", { class: "legend" }, ...rows),
    rest > 0 && html("p", { class: "hint" }, `The ${palette.categories.length} largest have a colour; choose any to see its points.`));
}

export function quality(about, toggle) {
  const good = about.quality;
  if (!good) return null;
  const fact = (name, value, meaning) => html("div", {}, html("dt", {}, name), html("dd", {}, value), html("dd", { class: "meaning" }, meaning));
  return part("quality", "How far to trust it",
    html("dl", {},
      fact("trustworthiness", good.trustworthiness.toFixed(2), "1 if no false neighbours"),
      fact("continuity", good.continuity.toFixed(2), "1 if none torn apart"),
      fact("neighbours kept", share(good.kept), `of each point\u2019s ${good.k}`)),
    html("label", { class: "check" }, html("input", { type: "checkbox", onchange: (event) => toggle(event.target) }), "Fade points that lost half of their neighbours"),
    good.counted < about.n && html("p", { class: "hint" }, `The first two are estimated from ${good.counted.toLocaleString("en")} points.`));
}

// The same points as rows: what a canvas cannot tell to everybody.
// rowsOf(points) promises [{id, kind, name}]; cells(i) gives what else is known; go(i) shows a point on the map.
export function table(rowsOf, cells, head, go) {
  let points = [], page = 0, turn = 0, what = "";
  const body = html("tbody"), title = html("caption"), where = html("span", { "aria-live": "polite" });
  const heads = html("tr");
  const button = (name, way) => html("button", { type: "button", onclick: () => { page += way; fill(); } }, name);
  const [previous, next] = [button("Previous", -1), button("Next", 1)];
  const view = html("div", {}, html("div", { class: "rows" }, html("table", {}, title, html("thead", {}, heads), body)), html("p", { class: "pager" }, previous, where, next));
  async function fill() {
    const mine = ++turn, pages = Math.max(1, Math.ceil(points.length / PAGE));
    page = Math.min(pages - 1, Math.max(0, page));
    const shown = points.slice(PAGE * page, PAGE * (page + 1));
    title.textContent = what;
    previous.disabled = page === 0;
    next.disabled = page === pages - 1;
    where.textContent = points.length ? `${PAGE * page + 1} to ${PAGE * page + shown.length} of ${points.length.toLocaleString("en")}` : "no points";
    const rows = shown.length ? await rowsOf(shown) : [];
    if (mine !== turn) return;
    heads.replaceChildren(...["point", "what it is", ...head()].map((name) => html("th", { scope: "col" }, name)));
    body.replaceChildren(...shown.map((i, j) => html("tr", {},
      html("td", {}, html("button", { type: "button", "aria-label": `Show point ${i} on the map`, onclick: () => go(i) }, String(i))),
      html("td", {}, html("bdi", {}, (rows[j]?.name ?? "\u2013").slice(0, 300))),
      ...cells(i).map((text) => html("td", {}, html("bdi", {}, text.slice(0, 300)))))));
  }
  return { view, put: (fresh, name) => { [points, page, what] = [fresh, 0, name]; return fill(); } };
}
