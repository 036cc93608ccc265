// A unit's page: arrow keys, the part that is in sight, and its height where it is embedded.
"use strict";
{
  const parts = [...document.querySelectorAll(".parts a")];
  const mark = (id) => parts.forEach((link) => (link.hash === `#${id}` ? link.setAttribute("aria-current", "location") : link.removeAttribute("aria-current")));

  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input") || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest(".scroll, .parts")) return;
    const way = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = way && document.querySelector(`.walk a[rel=${way}]`);
    if (link) location.href = link.getAttribute("href") + location.hash;
  });

  const follow = () => mark(location.hash.slice(1));
  addEventListener("hashchange", follow);
  follow();

  if (location.search === "?embedded") {
    document.body.classList.add("embedded");
    document.querySelectorAll("a").forEach((link) => (link.target = "_top"));
    const tell = () => parent.postMessage({ lens: location.pathname, height: document.documentElement.scrollHeight }, "*");
    new ResizeObserver(tell).observe(document.body);
  }
}
