// What every view carries in place of its code: the code of a kind is a model of its own, sent and saved once.
//
// State that Python sends:
//   _code   "IPY_MODEL_..." of the model with {esm, css}

const MODEL = "IPY_MODEL_";
const modules = (globalThis.lensModules ??= new Map());  // in a page, a module is evaluated once

// A host that cannot give another model leaves the kernel to be asked.
async function codeOf(model) {
  try {
    const code = await model.widget_manager.get_model(model.get("_code").slice(MODEL.length));
    if (code.get("esm")) return { esm: code.get("esm"), css: code.get("css") };
  } catch {}
  return new Promise((done) => {
    const hear = (message) => {
      if (message?.kind !== "code") return;
      model.off("msg:custom", hear);
      done(message);
    };
    model.on("msg:custom", hear);
    model.send({ kind: "code" });
  });
}

function evaluated(esm) {
  if (!modules.has(esm)) {
    const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
    modules.set(esm, import(url).finally(() => URL.revokeObjectURL(url)));
  }
  return modules.get(esm);
}

async function render({ model, el, ...more }) {
  const { esm, css } = await codeOf(model);
  const { default: view } = await evaluated(esm);
  // Beside the view, not in the page's head: marimo draws in a shadow tree.
  const style = document.createElement("style"), inner = document.createElement("div");
  style.textContent = css;
  el.replaceChildren(style, inner);
  return view.render({ model, el: inner, ...more });
}

export default { render };
