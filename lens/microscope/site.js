// A site's page: sorts and filters the units that stand in it, or shows them as a table.
// All of it is in the address: site.html#sort=concept&filter=dog&multimodal=1&view=table
"use strict";
{
  const site = Object.values(lens.sites)[0];
  const { columns } = site;
  const form = document.getElementById("controls");
  const grid = document.getElementById("grid");
  const table = document.getElementById("table");
  const count = document.getElementById("count");
  const cards = new Map([...grid.children].map((card) => [Number(card.dataset.u), card]));
  const total = columns.unit.length;
  const concept = (i) => (columns.concept[i] == null ? "" : site.concepts[columns.concept[i]]);
  const folded = columns.unit.map((_, i) => concept(i).toLowerCase());
  const shown = ["unit", "concept", "score", "p", "q", "n", "d_prime", "gap"];
  const titles = { d_prime: "d\u2032" };
  // Which way round each column is useful first.
  const downward = new Set(["score", "n", "d_prime", "gap"]);

  const value = (key, i) => (key === "concept" ? folded[i] : columns[key][i]);

  function ordered(places, sort, reverse) {
    const sign = downward.has(sort) !== reverse ? -1 : 1;
    return places.sort((a, b) => {
      const x = value(sort, a), y = value(sort, b);
      if (x == null || y == null) return (x == null) - (y == null) || a - b;
      const order = typeof x === "string" ? x.localeCompare(y) : x - y;
      return sign * order || (columns.score[b] ?? 0) - (columns.score[a] ?? 0) || a - b;
    });
  }

  function draw() {
    const asked = lens.hash();
    const sort = shown.includes(asked.get("sort")) ? asked.get("sort") : columns.score.some((s) => s != null) ? "score" : "unit";
    const filter = (asked.get("filter") ?? "").trim().toLowerCase();
    const multimodal = asked.get("multimodal") === "1";
    const asTable = asked.get("view") === "table";
    if (![...form.elements.sort.options].some((option) => option.value === sort)) {
      form.elements.sort.append(lens.html("option", { value: sort }, titles[sort] ?? sort));
    }
    form.elements.sort.value = sort;
    if (form.elements.filter.value.trim().toLowerCase() !== filter) form.elements.filter.value = asked.get("filter") ?? "";
    if (form.elements.multimodal) form.elements.multimodal.checked = multimodal;
    form.elements.table.checked = asTable;

    const fits = (i) => (!multimodal || (columns.q[i] != null && columns.q[i] <= 0.05))
      && (!filter || folded[i].includes(filter) || String(columns.unit[i]) === filter);
    const places = ordered(columns.unit.map((_, i) => i).filter(fits), sort, asked.get("reverse") === "1");
    const tail = places.length === total ? "" : ` of ${total.toLocaleString("en")}`;
    count.textContent = `${places.length.toLocaleString("en")}${tail} units${filter ? ` for \u201c${asked.get("filter").trim()}\u201d` : ""}`;
    grid.hidden = asTable;
    table.hidden = !asTable;
    if (asTable) table.replaceChildren(tabled(places, sort, asked.get("reverse") === "1"));
    else grid.replaceChildren(...places.map((i) => cards.get(columns.unit[i])));
  }

  function tabled(places, sort, reverse) {
    const head = shown.map((key) => {
      const state = key !== sort ? null : downward.has(key) !== reverse ? "descending" : "ascending";
      const turn = () => {
        change({ sort: key, reverse: key === sort && !reverse ? "1" : "" });
        table.querySelector(`[data-key=${key}]`).focus();
      };
      return lens.html("th", { scope: "col", "aria-sort": state }, lens.html("button", { type: "button", "data-key": key, onclick: turn }, titles[key] ?? key));
    });
    const areas = site.renderings.map((name) => lens.html("th", { scope: "col" }, "AUROC ", lens.name(name)));
    const rows = places.map((i) => {
      const unit = columns.unit[i];
      const cell = (key) => lens.html("td", {}, key === "n" ? String(columns.n[i] ?? "\u2013") : key === "score" ? lens.share(columns.score[i]) : lens.number(columns[key][i], key === "p" || key === "q" ? 2 : 3));
      return lens.html("tr", {},
        lens.html("td", {}, lens.thumb(site.number, i, columns.drawn[i], columns.best[i])),
        lens.html("th", { scope: "row" }, lens.html("a", { href: `unit/${unit}.html` }, String(unit))),
        lens.html("td", { class: "long" }, lens.name(concept(i))),
        ...shown.slice(2).map(cell),
        ...(columns.auroc[i] ?? site.renderings.map(() => null)).map((a) => lens.html("td", {}, lens.share(a))));
    });
    return lens.html("table", { class: "numbers" },
      lens.html("thead", {}, lens.html("tr", {}, lens.html("td"), ...head, ...areas)), lens.html("tbody", {}, ...rows));
  }

  function change(values) {
    const now = Object.fromEntries(lens.hash());
    lens.setHash({ ...now, ...values });
    draw();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => change({
    sort: form.elements.sort.value === "score" && !lens.hash().get("sort") ? "" : form.elements.sort.value,
    filter: form.elements.filter.value.trim(),
    multimodal: form.elements.multimodal?.checked ? "1" : "",
    view: form.elements.table.checked ? "table" : "",
  }));
  addEventListener("hashchange", draw);
  form.hidden = false;
  draw();
}
