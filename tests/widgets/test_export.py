"""A notebook taken home: our widgets become saved views, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re

import nbformat
import pytest

from lens.errors import BadInput
from lens.widgets import export, export_notebook
from lens.widgets.view import View

MODEL = "0123456789abcdef"
HOSTILE = "</script><img src=x onerror=alert(1)>"


def notebook(state=True):
    cell = nbformat.v4.new_code_cell("view")
    cell.outputs = [
        nbformat.v4.new_output(
            "display_data",
            {
                export.VIEW: {"version_major": 2, "version_minor": 0, "model_id": MODEL},
                "text/plain": "a view",
                "text/html": "aside",
            },
        )
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title"), cell])
    kept = {
        "_anywidget_id": "lens.widgets.x.X",
        "_esm": "function render() {}\nexport default { render };",
        "_css": ".x {}",
        "word": HOSTILE,
        "deep": {"parts": [{}]},
    }
    other = {"_anywidget_id": "else.where", "_esm": "const stranger = 1;"}
    buffer = {"path": ["deep", "parts", 0, "image"], "data": "AP8Q", "encoding": "base64"}
    if state:
        book.metadata.widgets = {
            export.STATE: {
                "version_major": 2,
                "version_minor": 0,
                "state": {MODEL: {"state": kept, "buffers": [buffer]}, "x": {"state": other}},
            }
        }
    return book


def test_a_view_kept_with_the_notebook_comes_back_with_its_bytes():
    found = export._kept(notebook())
    assert list(found) == [MODEL]
    assert found[MODEL].state["deep"]["parts"][0]["image"] == b"\x00\xff\x10"
    assert found[MODEL].state["offline"] is True
    assert "_esm" not in found[MODEL].state


def test_a_view_whose_code_is_a_model_of_its_own_comes_back_with_it():
    book = notebook()
    state = book.metadata.widgets[export.STATE]["state"]
    kept = state[MODEL]["state"]
    state["c0de"] = {"state": {"esm": kept["_esm"], "css": ".shared {}"}}
    kept.update(_code="IPY_MODEL_c0de", _esm="const loader = 1;", _css="")
    found = export._kept(book)
    assert list(found) == [MODEL]
    assert found[MODEL].esm == "function render() {}\nexport default { render };"
    assert found[MODEL].css == ".shared {}"


def test_the_page_loads_nothing_and_is_not_ended_by_data(tmp_path):
    path = tmp_path / "n.ipynb"
    nbformat.write(notebook(), path)
    text = export_notebook(path).read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    assert not re.search(r"""import .* from ["']http""", text)
    assert 'id="lens-view-1"' in text
    assert "stranger" not in text
    assert "onerror" not in text  # compressed with the rest of the data
    assert "Title" in text


def test_without_the_widgets_state_the_aside_is_shown(tmp_path):
    path = tmp_path / "n.ipynb"
    nbformat.write(notebook(state=False), path)
    text = export_notebook(path, tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "aside" in text
    assert "lens-view-1" not in text


def test_a_kernel_leaves_views_as_they_are_read_again(tmp_path):
    class Picture(View):
        _esm = "function render() {}"
        _css = ""

        def state(self):
            return {**super().state(), "image": b"\x00\xff"}

        def answers(self):
            return {"asked": {3: {"image": b"\x01"}}}

    view = Picture()
    export._leave(str(tmp_path))
    found = export._read(tmp_path / f"{view.model_id}.json")
    assert found.state == {"offline": True, "image": b"\x00\xff"}
    assert found.answers == {"asked": {"3": {"image": b"\x01"}}}


def test_a_view_that_cannot_answer_does_not_keep_the_others(tmp_path):
    class Broken(View):
        _esm = "function render() {}"
        _css = ""
        heading = "A broken view"

        def answers(self):
            raise BadInput("there are no stimuli left.")

    class Whole(Broken):
        def answers(self):
            return {}

    broken, whole = Broken(), Whole()
    with pytest.warns(UserWarning, match="A broken view is taken as it was shown: there are no"):
        export._leave(str(tmp_path))
    assert (tmp_path / f"{whole.model_id}.json").exists()
    assert not (tmp_path / f"{broken.model_id}.json").exists()
    broken.close()


def test_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no notebook"):
        export_notebook(tmp_path / "none.ipynb")
    path = tmp_path / "n.ipynb"
    nbformat.write(notebook(), path)
    with pytest.raises(BadInput, match=r"exported as \.html"):
        export_notebook(path, tmp_path / "n.pdf")
