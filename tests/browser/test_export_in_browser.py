"""A notebook taken home, opened from a file without a network: its views are alive."""

from __future__ import annotations

import nbformat
import pytest
from playwright.sync_api import expect

from lens.widgets import export_notebook

pytestmark = pytest.mark.browser

CELL = """
import traitlets
from lens.widgets.view import View

class Counter(View):
    _esm = '''
    function render({ model, el }) {
      const button = document.createElement("button");
      const say = () => (button.textContent = model.get("told"));
      button.onclick = () => { model.set("asked", model.get("asked") + 1); model.save_changes(); };
      model.on("change:told", say);
      say();
      el.replaceChildren(button);
    }
    export default { render };
    '''
    _css = ".lens-counter {}"
    asked = traitlets.Int(1).tag(sync=True)
    told = traitlets.Unicode("one").tag(sync=True)

    def answers(self):
        return {"asked": {2: {"told": "two"}}}

Counter()
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    path = tmp_path_factory.mktemp("home") / "counter.ipynb"
    cells = [nbformat.v4.new_code_cell(CELL), nbformat.v4.new_code_cell("Counter()")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_views_answer_without_a_kernel_and_a_network(notebook, watch, theme):
    page_file = export_notebook(
        notebook, notebook.with_suffix(f".{theme}.html"), run=True, theme=theme
    )
    own = page_file.as_uri()
    watched = watch(own, offline=True)
    page = watched.page
    page.goto(own)
    buttons = page.locator("main button")
    expect(buttons).to_have_count(2)
    buttons.first.click()
    expect(buttons.first).to_have_text("two")
    expect(buttons.last).to_have_text("one")
    watched.clean()
