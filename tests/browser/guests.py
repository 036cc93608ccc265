"""Pages built as VS Code and Colab build theirs, with views in them: neither runs in a test.

A view is given nothing but what anywidget promises: ``get``, ``set``, ``on``, ``off``,
``save_changes``, ``send`` and ``widget_manager.get_model``.

VS Code draws all outputs of a notebook in one sandboxed frame, whose body names the theme; around a
widget it puts white paper, whatever the theme. Its policy (``notebook.experimental.enableCsp``, off
by default) lets scripts come from the page alone; anywidget adds blobs to that in both hosts.

Colab draws each output in a sandboxed frame of its own, on another origin and as high as its
content. A dark page has ``<html theme="dark">``; a light one has no mark.

Both bring the style sheet of ipywidgets, which gives JupyterLab's names the colours of a page that
is white.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from typing import Any

from lens.widgets import View
from lens.widgets.code import LOADER

CSP = "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'"

# What ipywidgets' own style sheet says, of which views take the first four.
WIDGETS = """:root {
  --jp-layout-color0: white; --jp-layout-color2: #eee; --jp-border-color2: #e0e0e0;
  --jp-ui-font-color0: rgba(0, 0, 0, 1); --jp-ui-font-family: serif;
}"""

# anywidget's front end in short: a module from a blob, and a model.
ANYWIDGET = """
const revive = (_, value) => (value?.$b64 === undefined ? value
  : new DataView(Uint8Array.from(atob(value.$b64), (c) => c.charCodeAt(0)).buffer));
const { views, codes } = JSON.parse(document.getElementById("data").textContent, revive);
const plain = (state) => {
  const listeners = {}, changed = new Set();
  return {
    get: (name) => state[name],
    set(name, value) { state[name] = value; changed.add(name); },
    save_changes() {
      const names = [...changed];
      changed.clear();
      for (const name of names) for (const act of [...(listeners[`change:${name}`] ?? [])]) act();
    },
    on: (event, act) => void (listeners[event] ??= []).push(act),
    off(event, act) { listeners[event] = (listeners[event] ?? []).filter((own) => own !== act); },
    send() {},
    widget_manager: {
      async get_model(id) {
        if (!(id in codes)) throw new Error("widget model not found");
        return plain(codes[id]);
      },
    },
  };
};
for (const { esm, state } of views) {
  const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  const el = document.createElement("div");
  document.querySelector(".output").append(el);
  await widget.render({ model: plain(state), el });
}
document.body.dataset.drawn = "";
"""

PAGE = """<!doctype html>
<html lang="en"{root}><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{csp}">
<style>{style}</style></head>
<body {body}>
<div class="output" style="{around}"></div>
<script type="application/json" id="data">{data}</script>
<script type="module">{script}</script>
</body></html>"""

# As Colab does: a frame is as high as what is in it.
GROW = """
const tell = () => parent.postMessage({ height: document.body.offsetHeight + 16 }, "*");
new ResizeObserver(tell).observe(document.body);
"""
GROWN = """<script>
addEventListener("message", ({ source, data }) => {
  for (const frame of document.querySelectorAll("iframe"))
    if (frame.contentWindow === source) frame.style.height = `${data.height}px`;
});
</script>"""


def vscode(views: Sequence[View], theme: str) -> str:
    """Write VS Code's page: `theme` is "dark", "light", "high-contrast" or a class more."""
    inner = _page(
        views,
        style=WIDGETS + "body { margin: 0; background: var(--vscode-editor-background); }",
        root=' style="--vscode-editor-background: #1e1e1e"' if theme == "dark" else "",
        body=f'class="vscode-body vscode-{theme}" data-vscode-theme-kind="vscode-{theme}"',
        around="background: white; padding: 4px",
    )
    allowed = "allow-same-origin allow-scripts allow-forms allow-pointer-lock allow-downloads"
    return _outer([f'<iframe sandbox="{allowed}" style="height: 950px" srcdoc="{inner}"></iframe>'])


def colab(views: Sequence[View], theme: str) -> str:
    """Write Colab's page, "light" or "dark": a frame for each view."""
    frames = []
    for view in views:
        inner = _page(
            [view],
            style=WIDGETS + ":root { --jp-layout-color2: var(--colab-secondary-surface-color); }",
            root=' theme="dark"' if theme == "dark" else "",
            body="",
            around="",
            script="globalThis.google = { colab: {} };" + GROW,
        )
        frames.append(f'<iframe sandbox="allow-scripts" srcdoc="{inner}"></iframe>')
    return _outer([GROWN, *frames])


def _outer(parts: list[str]) -> str:
    style = "<style>iframe { width: 100%; border: 0; display: block }</style>"
    return "\n".join(["<!doctype html><meta charset=utf-8>", style, *parts])


def _page(views: Sequence[View], script: str = "", **around: str) -> str:
    told: dict[str, Any] = {"views": [], "codes": {}}
    for view in views:
        kept = view.hosted()
        name = view.get_state()["_code"]
        told["codes"][name.removeprefix("IPY_MODEL_")] = {"esm": kept.esm, "css": kept.css}
        state = {**kept.state, "offline": False, "_code": name}
        told["views"].append({"esm": LOADER, "state": state})
    data = json.dumps(told, default=_bytes).replace("<", "\\u003c")
    made = PAGE.format(csp=CSP, data=data, script=script + ANYWIDGET, **around)
    return html.escape(made, quote=True)


def _bytes(value: Any) -> dict[str, str]:
    return {"$b64": base64.b64encode(bytes(value)).decode()}
