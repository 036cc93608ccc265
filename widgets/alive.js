// A kernel may end while a view is open: the view says so, and what it shows stays readable.
import { html } from "./draw.js";
import { dress } from "./theme.js";

const GONE = "The kernel has ended: what is here stays, and nothing new can be computed. Run the cell again to go on.";

// `render` as it is, and one line above the view once the host tells that the view's connection has changed.
// Only Jupyter's widget manager tells; a view is drawn while it is connected, so the first word is of its end.
// A view that waits for an answer hears "lens:gone" at its `el`, and asks `gone(el)` before it asks the kernel.
export const alive = (render) => (context) => {
  const { model, el } = context, undress = dress(el), end = render(context);
  const ended = () => {
    if (gone(el)) return;
    el.setAttribute("data-gone", "");
    for (const busy of el.querySelectorAll("[aria-busy=true]")) busy.setAttribute("aria-busy", "false");
    el.prepend(html("p", { class: "lens lens-gone", role: "status" }, GONE));
    el.dispatchEvent(new CustomEvent("lens:gone"));
  };
  model.on("comm_live_update", ended);
  return () => {
    model.off("comm_live_update", ended);
    el.removeAttribute("data-gone");
    undress();
    return end?.();
  };
};
export const gone = (el) => el.hasAttribute("data-gone");
