// A kernel may end while a view is open: the view says so, and what it shows stays readable.
import { html } from "./draw.js";

const GONE = "The kernel has ended: what is here stays, and nothing new can be computed. Run the cell again to go on.";

// `render` as it is, and one line above the view once the host tells that the view's connection has changed.
// Only Jupyter's widget manager tells; a view is drawn while it is connected, so the first word is of its end.
export const alive = (render) => (context) => {
  const { model, el } = context, end = render(context);
  const gone = () => {
    if (el.querySelector(":scope > .lens-gone")) return;
    el.setAttribute("data-gone", "");
    el.prepend(html("p", { class: "lens lens-gone", role: "status" }, GONE));
  };
  model.on("comm_live_update", gone);
  return () => {
    model.off("comm_live_update", gone);
    return end?.();
  };
};
