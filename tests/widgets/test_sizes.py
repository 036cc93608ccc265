"""What a view weighs: every instance of it carries its whole module."""

from __future__ import annotations

import re
from pathlib import Path

import lens.widgets
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
