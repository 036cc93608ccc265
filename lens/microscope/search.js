// The search page: concepts, words and units out of an index built beforehand (search.js of the
// site's first folder).
"use strict";
{
  const { sites, concepts, words } = lens.found;
  const results = document.getElementById("results");
  const count = document.getElementById("count");
  const input = document.querySelector(".find input");
  const [groups, units] = [12, 12]; // shown at first

  const label = (site) => site.name.split(".").slice(1).join(".") || site.name;
  const plural = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

  function card([s, i, value], told) {
    const site = sites[s];
    return lens.html("li", {}, lens.html("a", { class: "unit", href: `${site.number}/unit/${site.unit[i]}.html` },
      lens.thumb(site.number, i, site.drawn[i], site.best[i]),
      lens.html("b", {}, sites.length > 1 ? `${label(site)} ${site.unit[i]}` : String(site.unit[i])),
      lens.html("span", {}, site.label[i] == null ? "" : lens.name(site.label[i])),
      lens.html("em", {}, told(value))));
  }

  function group(title, hint, hits, told) {
    const cards = (some) => some.map((hit) => card(hit, told));
    const list = lens.html("ul", { class: "units" }, ...cards(hits.slice(0, units)));
    const more = hits.length > units && lens.html("button", { type: "button", onclick: (event) => {
      list.append(...cards(hits.slice(units)));
      event.target.remove();
    } }, `${plural(hits.length - units, "more unit")}`);
    return lens.html("section", {}, lens.html("h2", {}, title), lens.html("p", { class: "hint" }, hint), list, more);
  }

  // Whole words first, then beginnings, then anywhere.
  function matching(entries, asked) {
    const rank = (text) => (text === asked ? 0 : text.startsWith(asked) ? 1 : text.includes(asked) ? 2 : 3);
    return entries.map(([text, hits]) => [rank(text.toLowerCase()), text, hits]).filter(([order]) => order < 3)
      .sort((a, b) => a[0] - b[0] || b[2].length - a[2].length);
  }

  function numbered(asked) {
    const parts = asked.match(/^(?:(.*?)[\s/:]+)?(?:unit\s*)?(\d+)$/);
    if (!parts) return [];
    const place = (parts[1] ?? "").replace(/\bunit$/, "").trim();
    return sites.flatMap((site, s) => {
      const i = site.unit.indexOf(Number(parts[2]));
      return i >= 0 && site.name.toLowerCase().includes(place) ? [[s, i, null]] : [];
    });
  }

  function search() {
    const asked = input.value.trim().toLowerCase();
    if (!asked) {
      count.textContent = `${plural(concepts.length, "concept")}, ${plural(words.length, "word")}, ${plural(sites.reduce((n, site) => n + site.unit.length, 0), "unit")}.`;
      return results.replaceChildren();
    }
    const number = numbered(asked);
    const named = matching(concepts, asked), read = matching(words, asked);
    count.textContent = `\u201c${input.value.trim()}\u201d: ${plural(number.length, "unit")}, ${plural(named.length, "concept")}, ${plural(read.length, "word")}.`;
    results.replaceChildren(
      ...(number.length ? [group("Units", "By number.", number, () => "")] : []),
      ...named.slice(0, groups).map(([, text, hits]) => group(lens.html("span", {}, "Concept ", lens.name(text)), "Units that it was found for, the highest score first.", hits, lens.share)),
      ...read.slice(0, groups).map(([, text, hits]) => group(lens.html("span", {}, "Word ", lens.name(text)), "Units that pull towards it, and its place among their words.", hits, (rank) => `no. ${rank}`)));
  }

  function follow() {
    const asked = lens.hash().get("q") ?? new URLSearchParams(location.search).get("q") ?? "";
    if (input.value.trim() !== asked) input.value = asked;
    search();
  }

  input.addEventListener("input", () => {
    lens.setHash({ q: input.value.trim() });
    search();
  });
  addEventListener("hashchange", follow);
  follow();
  input.focus();
}
