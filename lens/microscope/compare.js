// Two units side by side: compare.html#layer4/17,layer4/685 (a site's number or name, and a unit).
"use strict";
{
  const { sites } = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("choose");
  const pair = document.getElementById("pair");
  const facts = document.getElementById("facts");
  const problem = document.getElementById("problem");
  const sides = [...form.querySelectorAll("fieldset")].map((set) => ({
    site: set.querySelector("select"), unit: set.querySelector("input"),
  }));
  let turn = 0;

  function named(text) {
    const exact = sites.find((site) => String(site.number) === text || site.name === text);
    return exact ?? sites.find((site) => site.name.endsWith(`.${text}`));
  }

  function asked() {
    const parts = decodeURIComponent(location.hash.slice(1)).split(",").filter(Boolean);
    return parts.slice(0, 2).map((part) => {
      const cut = part.lastIndexOf("/");
      return { site: cut < 0 ? sites[0] : named(part.slice(0, cut)), unit: part.slice(cut + 1), text: part };
    });
  }

  async function draw() {
    const mine = ++turn;
    const wanted = asked();
    problem.textContent = "";
    wanted.forEach(({ site, unit }, i) => {
      if (site) sides[i].site.value = site.number;
      if (document.activeElement !== sides[i].unit) sides[i].unit.value = unit;
    });
    const found = [];
    for (const { site, unit, text } of wanted) {
      if (!site) problem.textContent = `No site of this web site is called like \u201c${text}\u201d.`;
      const data = site && (await lens.load(site.number));
      const place = data ? data.columns.unit.indexOf(/^\d+$/.test(unit) ? Number(unit) : NaN) : -1;
      if (data && place < 0) problem.textContent = `${site.name} has no page of unit \u201c${unit}\u201d.`;
      if (place >= 0) found.push({ data, place, unit: Number(unit) });
    }
    if (mine !== turn) return;
    if (wanted.length < 2 && !problem.textContent) problem.textContent = wanted.length ? "Choose the second unit." : "Choose two units.";
    facts.replaceChildren(...(found.length === 2 ? [table(found)] : []));
    pair.replaceChildren(...found.map(({ data, unit }) => lens.html("iframe", {
      src: `${data.number}/unit/${unit}.html?embedded`, title: `${data.name} unit ${unit}`,
    })));
  }

  function table([a, b]) {
    const of = (side, key) => side.data.columns[key][side.place];
    const concept = (side) => (of(side, "concept") == null ? "\u2013" : lens.name(side.data.concepts[of(side, "concept")]));
    const words = (side) => lens.html("span", {}, ...of(side, "words").slice(0, 6).flatMap((w, i) => [i ? ", " : "", lens.name(side.data.vocabulary[w])]));
    const number = (key, digits) => [key === "d_prime" ? "d\u2032" : key, (side) => (key === "n" ? String(of(side, "n") ?? "\u2013") : lens.number(of(side, key), digits))];
    const rows = [["concept", concept], ["score", (side) => lens.share(of(side, "score"))], number("q", 2), number("p", 2), number("n"), number("d_prime"), number("gap"),
      ...a.data.renderings.map((name, r) => [`AUROC ${name}`, (side) => lens.share(of(side, "auroc")?.[side.data.renderings.indexOf(a.data.renderings[r])] ?? null)])];
    if (of(a, "words").length || of(b, "words").length) rows.push(["words", words]);
    const near = a.data === b.data && of(a, "near").find(([unit]) => unit === b.unit);
    const link = ({ data, unit }) => lens.html("th", { scope: "col" }, lens.html("a", { href: `${data.number}/unit/${unit}.html` }, lens.name(data.name), ` ${unit}`));
    const told = near ? `Their responses correlate: r ${lens.number(near[1])}.`
      : a.data === b.data ? "Neither among the most similar nor the most opposing units of the first." : "";
    return lens.html("div", {}, lens.html("p", { class: "hint" }, told), lens.html("table", { class: "numbers" },
      lens.html("thead", {}, lens.html("tr", {}, lens.html("td"), link(a), link(b))),
      lens.html("tbody", {}, ...rows.map(([name, show]) => lens.html("tr", {}, lens.html("th", { scope: "row" }, lens.name(name)), lens.html("td", {}, show(a)), lens.html("td", {}, show(b)))))));
  }

  function choose(order = [0, 1]) {
    const texts = order.map((i) => sides[i]).map(({ site, unit }) => `${site.value}/${unit.value.trim()}`);
    const kept = texts.filter((text) => !text.endsWith("/"));
    history.replaceState(null, "", `#${kept.join(",")}`);
    draw();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => choose());
  document.getElementById("swap").addEventListener("click", () => choose([1, 0]));
  addEventListener("hashchange", draw);
  addEventListener("message", ({ source, data }) => {
    if (typeof data?.lens !== "string" || !Number.isFinite(data.height)) return;
    const frame = [...pair.children].find((one) => one.contentWindow === source);
    if (frame) frame.style.height = `${Math.ceil(data.height) + 4}px`;
  });
  form.hidden = false;
  draw();
}
