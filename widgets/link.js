// Views that stand in one page tell each other what was chosen, in the browser: a kernel is not needed, and not asked.
// kind: "unit" ("image.layer4.1/17": link.py's name of its place, and its number), "image", "text", "token" or "cluster"; id: a string; origin: whoever chose, who is not told again.
export const choose = (origin, kind, id) =>
  window.dispatchEvent(new CustomEvent("lens:choose", { detail: { origin, kind, id } }));

// act(id) for every choice of this kind made elsewhere; returns what ends it.
export const whenChosen = (origin, kind, act) => {
  const hear = ({ detail }) => detail.kind === kind && detail.origin !== origin && act(detail.id);
  window.addEventListener("lens:choose", hear);
  return () => window.removeEventListener("lens:choose", hear);
};
