"""A notebook as one HTML file in which the views are alive, without a kernel and a network.

nbconvert's own HTML draws widgets with scripts from a content delivery network. Here each of our
views takes home what a saved page holds, in the place of its widget; what remains is nbconvert's.
"""

from __future__ import annotations

import base64
import copy
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

from lens.errors import BadInput
from lens.widgets import host
from lens.widgets.view import View

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"

# nbconvert's page, without what it would load from elsewhere.
PAGE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}"""

# The last cell of a notebook that is run to be exported.
TAKEN = "from lens.widgets.export import _leave; _leave({folder!r})"


def export_notebook(
    notebook: str | Path,
    path: str | Path | None = None,
    *,
    run: bool = False,
    theme: Literal["light", "dark"] = "light",
    timeout: float | None = None,
) -> Path:
    """Write a notebook as one HTML file in which the views of lens are alive.

    The file loads nothing: neither a widget manager nor MathJax. Widgets of other libraries are
    shown as nbconvert shows what is no widget.

    Parameters
    ----------
    notebook
        The ``.ipynb`` file.
    path
        The file to write; the notebook's name with ``.html`` if not given.
    run
        Run the notebook first, in its own kernel, and take all that the views can answer. Without
        it, views are shown as they were when the notebook was saved with its widgets' state; what
        they would have asked the kernel for is not there.
    theme
        "light" or "dark", of the whole page.
    timeout
        Seconds that a cell may take where the notebook is run; None for no limit.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    BadInput
        If there is no such notebook, or the file would not end in ``.html``.
    """
    import nbformat

    notebook = Path(notebook)
    if not notebook.is_file():
        raise BadInput(f"There is no notebook {str(notebook)!r}.")
    path = notebook.with_suffix(".html") if path is None else Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise BadInput(f"A notebook is exported as .html, not as {path.name!r}.")
    book = nbformat.read(notebook, 4)
    views = _run(book, notebook.parent, timeout) if run else _kept(book)
    text = html(book, views, notebook.stem, theme)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def html(
    book: Any,
    views: dict[str, host.Hosted],
    name: str = "Notebook",
    theme: Literal["light", "dark"] = "light",
) -> str:
    """Write a notebook that has been run as HTML, with views in the places of their widgets.

    Parameters
    ----------
    book
        An nbformat notebook; it is left as it is.
    views
        By the widgets' model id.
    name
        The window's title.
    theme
        "light" or "dark".
    """
    from nbconvert import HTMLExporter

    book = copy.deepcopy(book)
    book.metadata.pop("widgets", None)  # or a manager of widgets would be loaded
    number = 0
    for cell in book.cells:
        for output in cell.get("outputs", []):
            shown = output.get("data", {}).pop(VIEW, None)
            if shown is None or (found := views.get(shown["model_id"])) is None:
                continue
            number += 1
            output["data"] = {"text/html": host.fragment([found], f"lens-view-{number}")}
    exporter = HTMLExporter(raw_template=PAGE, theme=theme)
    text, _ = exporter.from_notebook_node(book, {"metadata": {"name": name, "path": ""}})
    return text


def _run(book: Any, folder: Path, timeout: float | None) -> dict[str, host.Hosted]:
    """Run a notebook in place, and give its views with all their answers."""
    import nbformat
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as taken:
        book.cells.append(nbformat.v4.new_code_cell(TAKEN.format(folder=taken)))
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(book, timeout=timeout, resources=resources).execute()
        book.cells.pop()
        left = {file.stem: _read(file) for file in Path(taken).glob("*.json")}
    return _kept(book) | left  # one that could not answer is as its state was saved


def _leave(folder: str) -> None:
    """In the kernel of a notebook: write down all views that it has made."""
    from ipywidgets.widgets.widget import _instances

    for widget in list(_instances.values()):
        if not isinstance(widget, View):
            continue
        try:
            hosted = widget.hosted()
        except Exception as problem:  # its state was saved with the notebook: that is taken then
            warnings.warn(f"{widget.heading} is taken as it was shown: {problem}", stacklevel=2)
            continue
        answers = {
            trait: {host.key(value): told for value, told in known.items()}
            for trait, known in hosted.answers.items()
        }
        told = [hosted.esm, hosted.css, hosted.state, answers]
        text = json.dumps(told, default=_written)
        Path(folder, f"{widget.model_id}.json").write_text(text, encoding="utf-8")


def _written(value: Any) -> dict[str, str]:
    return {"$base64": base64.b64encode(bytes(value)).decode()}


def _read(file: Path) -> host.Hosted:
    def revived(value: dict[str, Any]) -> Any:
        return base64.b64decode(value["$base64"]) if "$base64" in value else value

    return host.Hosted(*json.loads(file.read_text(encoding="utf-8"), object_hook=revived))


def _kept(book: Any) -> dict[str, host.Hosted]:
    """Give the views whose state was saved with the notebook."""
    widgets = book.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    views = {}
    for model_id, widget in widgets.items():
        state = dict(widget.get("state", {}))
        if not str(state.get("_anywidget_id", "")).startswith("lens."):
            continue
        state = copy.deepcopy(state)
        for buffer in widget.get("buffers", []):
            *way, last = buffer["path"]
            at: Any = state
            for step in way:
                at = at[step]
            at[last] = base64.b64decode(buffer["data"])
        own = {name: value for name, value in state.items() if not name.startswith("_")}
        code = widgets.get(str(state.get("_code", "")).removeprefix("IPY_MODEL_"), {}).get("state")
        esm, css = (code["esm"], code["css"]) if code else (state["_esm"], state["_css"])
        views[model_id] = host.Hosted(esm, css, {**own, "offline": True})
    return views
