// The live grid: the images of a visualization while they are made.
//
// State that Python (or the exported page's host) sends:
//   about     {model, labels: one an image, steps}
//   frame     {image, width, height, columns, count}: the images so far in one WebP, or {}
//   values    what each of them comes to
//   phase     running | stopping | done | stopped | failed
//   step      steps behind the images that are on their way
//   share     of the whole run that is over
//   stopping  the page sets it: stop, and keep what there is
//   notice    one sentence about what went wrong, or ""
//   offline   true in an exported page

import { aligned, bitmap, html, painted } from "../draw.js";

function render({ model, el }) {
  const about = () => model.get("about");
  const notice = html("p", { class: "notice", role: "status" });
  const title = html("h2");
  const told = html("p", { class: "hint told" });
  const filled = html("i");
  const bar = html("div", { class: "progress", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, filled);
  const button = html("button", { type: "button", onclick: stop }, "Stop");
  const spoken = html("p", { class: "spoken", role: "status" });
  const grid = html("ol", { class: "images" });
  const root = html("div", { class: "lens lens-live", role: "region", "aria-label": "Visualization in the making", "data-lm-suppress-shortcuts": "true" },
    html("article", { class: "page" }, html("header", {}, html("div", {}, title, told), button), bar, notice, spoken, grid));
  el.replaceChildren(root);
  let places = [], latest = 0;

  function stop() {
    if (button.getAttribute("aria-disabled") === "true") return;
    model.set("stopping", true);
    model.save_changes();
    button.setAttribute("aria-disabled", "true");
    button.textContent = "Stopping\u2026";
  }

  // One place an image, also for those whose turn has not come.
  function lay() {
    const { labels } = about();
    places = labels.map((text) => {
      const thumb = html("div", { class: "thumb", role: "img", "aria-label": `${text}: not begun` });
      const value = html("i");
      return { text, thumb, value, node: html("li", {}, thumb, html("p", { class: "what", title: text }, html("bdi", {}, text), value)) };
    });
    grid.replaceChildren(...places.map(({ node }) => node));
  }

  function say() {
    const { model: name, labels, steps } = about(), phase = model.get("phase"), over = Math.round(100 * model.get("share"));
    const running = phase === "running" || phase === "stopping", offline = model.get("offline");
    const left = running && offline;
    const images = `${labels.length} image${labels.length === 1 ? "" : "s"}`;
    title.textContent = `${images} of ${name}`;
    const step = `step ${model.get("step")} of ${steps}`;
    told.textContent = { running: `${step}, ${over}% of all`, stopping: `${step}: stopping`, done: `done, ${steps} steps`, stopped: `stopped at ${step}`, failed: "failed" }[phase] + (left ? ", when this page was saved" : "");
    bar.hidden = phase === "done" || phase === "failed";
    bar.setAttribute("aria-valuenow", over);
    filled.style.width = `${over}%`;
    button.hidden = !running || offline;
    button.setAttribute("aria-disabled", String(phase === "stopping"));
    button.textContent = phase === "stopping" ? "Stopping\u2026" : "Stop";
    notice.textContent = model.get("notice");
    root.dataset.phase = phase;
    if (!running) spoken.textContent = `${images} ${phase}.`;
  }

  async function paint() {
    const frame = model.get("frame"), mine = ++latest;
    if (!frame.count) return;
    const image = await bitmap(frame.image);
    if (mine !== latest) return image.close();  // a later look has overtaken this one
    const { width, height, columns } = frame, values = model.get("values");
    places.slice(0, frame.count).forEach(({ text, thumb, value }, i) => {
      const x = (i % columns) * width, y = Math.floor(i / columns) * height;
      thumb.replaceChildren(painted(width, height, (pen) => pen.drawImage(image, x, y, width, height, 0, 0, width, height)));
      thumb.style.aspectRatio = `${width} / ${height}`;
      thumb.setAttribute("aria-label", `${text}, value ${aligned(values[i])}`);
      value.textContent = aligned(values[i]);
    });
    image.close();
  }

  const again = () => (lay(), say(), paint());
  const changes = { about: again, frame: paint, phase: say, step: say, share: say, notice: say };
  for (const [name, act] of Object.entries(changes)) model.on(`change:${name}`, act);
  again();
  return () => {
    for (const [name, act] of Object.entries(changes)) model.off(`change:${name}`, act);
  };
}

export default { render };
