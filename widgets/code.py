"""The code of a kind of view, sent to a page and saved in a notebook once, not with every view.

anywidget puts a widget's whole ES module into the state of each instance, and a notebook that is
saved with its widgets has it as often. Here each instance carries `loader.js`, which finds the
module and the style sheet of its kind in one model that all of them name.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ipywidgets
import traitlets

from lens.widgets.esm import module

LOADER = module(Path(__file__).with_name("loader.js"))

_made: dict[tuple[str, str], Code] = {}


def code_of(esm: str, css: str) -> Code:
    """Give the model of a module and its style sheet: one for all views that it draws.

    marimo ends a model when the cell that made it runs again, whoever else names it: there each
    view has one of its own.
    """
    if "marimo" in sys.modules:
        return Code(esm=esm, css=css)
    known = _made.get((esm, css))
    if known is None or known.comm is None:  # closed with all other widgets
        known = _made[esm, css] = Code(esm=esm, css=css)
    return known


class Code(ipywidgets.Widget):
    """An ES module as anywidget takes it, and its style sheet; nothing of it is shown."""

    esm = traitlets.Unicode().tag(sync=True)
    css = traitlets.Unicode().tag(sync=True)
