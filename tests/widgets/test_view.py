"""A view is traits, a module, a style sheet and answers; the rest is shared."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import anywidget
import pytest
import traitlets

import lens.widgets
from lens.errors import BadInput
from lens.widgets.theme import THEME
from lens.widgets.view import View

SHEETS = sorted(Path(lens.widgets.__file__).parent.glob("*/*.css"))


class Counter(View):
    _esm = "function render({ el }) { el.textContent = 1; }\nexport default { render };"
    _css = ".counter {}"

    asked = traitlets.Int(1).tag(sync=True)
    told = traitlets.Unicode("one").tag(sync=True)
    own = traitlets.Int(5)

    def answers(self):
        return {"asked": {1: {"told": "one"}, 2: {"told": "two"}}}


def test_the_state_is_what_is_synced_and_the_views_own():
    assert Counter(asked=2).state() == {"asked": 2, "told": "one", "offline": True}


def test_saving_is_inherited(tmp_path):
    counter = Counter()
    path = counter.save(tmp_path / "new" / "counter.html", beside=[Counter(asked=2)])
    text = path.read_text(encoding="utf-8")
    assert "<title>Counter</title>" in text
    assert lens.widgets.save(path, counter, title="Two").read_text().count("<title>Two<") == 1
    with pytest.raises(BadInput, match="A Counter has no report figure"):
        counter.save(tmp_path / "counter.svg")


@pytest.mark.parametrize(
    ("views", "name", "says"),
    [
        ([Counter()], "x.png", r"saved as \.html, not as 'x\.png'"),
        ([], "x.html", "nothing to save"),
        (["counter"], "x.html", "not a str"),
    ],
)
def test_bad_input(tmp_path, views, name, says):
    with pytest.raises(BadInput, match=says):
        lens.widgets.save(tmp_path / name, *views)


def test_where_no_widget_can_be_a_sentence_says_so():
    data, _ = Counter()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "export_notebook" in data["text/html"]


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_colours_stand_in_the_theme_alone(path):
    css = path.read_text(encoding="utf-8")
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsl", css)
    named = set(re.findall(r"var\((--[\w-]+)", css))
    scripts = "".join(file.read_text(encoding="utf-8") for file in path.parent.glob("*.js"))
    known = set(re.findall(r"(--[\w-]+):", THEME + css))
    known |= set(re.findall(r'setProperty\("(--[\w-]+)"', scripts))
    assert named <= known | {name for name in named if name.startswith("--jp-")}


def test_the_code_of_a_kind_is_sent_once_and_each_view_names_it(tmp_path):
    one, two = Counter(), Counter()
    assert one._code is two._code
    assert (one._code.esm, one._code.css) == (Counter._esm, Counter._css)
    assert one.get_state()["_code"] == f"IPY_MODEL_{one._code.model_id}"
    assert len(one.get_state()["_esm"]) < 2000 and not one.get_state()["_css"]
    assert "el.textContent = 1" in one.save(tmp_path / "x.html").read_text(encoding="utf-8")

    class Other(Counter):
        _css = ".other {}"

    assert Other()._code is not one._code
    assert Other().hosted().css == ".other {}"


def test_code_that_was_closed_with_all_widgets_is_made_again():
    first = Counter()._code
    first.close()
    again = Counter()._code
    assert again is not first and Counter()._code is again


def test_a_page_that_is_not_given_other_models_asks_for_the_code(monkeypatch):
    told = []
    monkeypatch.setattr(Counter, "send", lambda self, content, buffers=None: told.append(content))
    Counter()._handle_custom_msg({"kind": "code"}, [])
    assert told == [{"kind": "code", "esm": Counter._esm, "css": Counter._css}]


def test_in_colab_custom_widgets_are_enabled_and_each_output_names_their_manager(monkeypatch):
    """Colab's own module stands in: it is on no other machine. anywidget does the asking."""
    asked, address = [], "https://ssl.gstatic.com/colaboratory-static/manager.min.js"
    output = ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: asked.append(True)
    output._widgets = SimpleNamespace(_installed_url=address)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    anywidget._util.enable_custom_widget_manager_once.cache_clear()
    try:
        Counter()
        _, metadata = Counter()._repr_mimebundle_()
    finally:
        anywidget._util.enable_custom_widget_manager_once.cache_clear()
    assert asked == [True]
    view = metadata["application/vnd.jupyter.widget-view+json"]
    assert view == {"colab": {"custom_widget_manager": {"url": address}}}
