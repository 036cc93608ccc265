"""What views weigh: the code of a kind is sent once, however many views there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import comm
import numpy as np

import lens.widgets
from lens.widgets import code
from lens.widgets.esm import module
from lens.widgets.theme import THEME, styles

HERE = Path(lens.widgets.__file__).parent
VIEWS = {
    path for path in HERE.glob("*/*.js") if "export default" in path.read_text(encoding="utf-8")
}


def test_every_view_is_looked_at():
    shown = {path.parent.name for path in VIEWS}
    assert shown >= {"attention", "facet_sheet", "heatmap", "layer_overview", "live_images"}
    assert shown >= {"neuron", "unit_table"}


def test_a_module_has_at_most_sixty_kilobytes():
    sizes = {path.name: len(module(path).encode()) for path in VIEWS}
    assert max(sizes.values()) <= 60_000, sizes


def test_ten_views_have_less_than_a_megabyte_of_code():
    sizes = [
        len(module(path).encode()) + len(styles(path.with_suffix(".css")).encode())
        for path in VIEWS
    ]
    assert 10 * max(sizes) < 1_000_000


def test_ten_views_of_a_notebook_send_their_code_once(monkeypatch, tiny_vit):
    sent: list[dict[str, Any]] = []

    class Heard(comm.DummyComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            sent.append(data["state"])

    monkeypatch.setattr(comm, "create_comm", Heard)
    monkeypatch.setattr(code, "_made", {})
    rows = np.random.default_rng(0).normal(size=(12, 4))
    proj = lens.project(rows, "pca", progress=False)
    views = [view for _ in range(5) for view in (proj.view(), lens.widgets.layers(tiny_vit))]
    modules = [state["esm"] for state in sent if "esm" in state]
    assert modules == [str(type(view).__mro__[1]._esm) for view in views[:2]]
    named = ("esm", "css", "_esm", "_css")
    size = sum(len(state.get(name, "").encode()) for state in sent for name in named)
    assert len(sent) >= 12 and size < 120_000, size


def test_a_style_sheet_takes_its_colours_from_the_theme():
    for path in VIEWS:
        own = path.with_suffix(".css").read_text(encoding="utf-8")
        named = re.findall(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(", own)
        assert not named, (path.name, named)
        unknown = set(re.findall(r"var\((--[\w-]+)[,)]", own)) - set(
            re.findall(r"(--[\w-]+):", THEME + own)
        )
        script = module(path)
        assert all(name in script for name in unknown), (path.name, unknown)


def test_every_view_says_when_its_kernel_has_ended():
    for path in VIEWS:
        assert "export default { render: alive(render) };" in path.read_text(encoding="utf-8")
