"""What every view is: traits, an ES module, a style sheet, and answers to take home."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from ipywidgets import widget_serialization

from lens.errors import BadInput
from lens.widgets import host
from lens.widgets.code import LOADER, Code, code_of

if TYPE_CHECKING:
    from lens.figures import Figure

#: In a notebook that is read where no kernel and no widget can be: on a code host, in a mail.
ASIDE = "This view is alive in a running notebook; lens.widgets.export_notebook takes it home."


FIGURES = (".svg", ".pdf", ".png")


class View(anywidget.AnyWidget):
    """A widget that is as alive in one HTML file as in a notebook.

    A view has ``_esm = module(HERE / "x.js")``, ``_css = styles(HERE / "x.css")``, traits that are
    synced, and `answers`: what its page may ask for when there is no kernel. Its script knows by
    `offline` that it stands in such a page.

    What an instance sends as its `_esm` finds that of its class; see `lens.widgets.code`. In Colab,
    which asks for it, anywidget enables widgets from outside of ipywidgets with the first view.
    """

    offline = traitlets.Bool(False).tag(sync=True)
    _code = traitlets.Instance(Code).tag(sync=True, **widget_serialization)

    def __init__(self, **traits: Any) -> None:
        kind: Any = type(self)
        code = code_of(str(kind._esm), str(kind._css))
        self.__dict__.update(_esm=LOADER, _css="")  # what anywidget makes traits of
        super().__init__(_code=code, **traits)
        self.on_msg(self._give_code)

    def _give_code(self, _widget: Any, message: Any, _buffers: Any) -> None:
        """Answer a page whose host does not hand over other models."""
        if message == {"kind": "code"}:
            self.send({"kind": "code", "esm": self._code.esm, "css": self._code.css})

    @property
    def heading(self) -> str:
        """The title of a page that shows it."""
        return type(self).__name__

    def answers(self) -> host.Answers:
        """For each trait through which its page asks, and each value: the traits that answer."""
        return {}

    def state(self) -> dict[str, Any]:
        """Give the traits that its page starts with: its own, as they are."""
        outside = anywidget.AnyWidget.class_traits()
        names = [name for name in self.traits(sync=True) if name not in outside]
        own = {name: getattr(self, name) for name in names if not name.startswith("_")}
        return {**own, "offline": True}

    def hosted(self) -> host.Hosted:
        """Give all that a page needs to show it."""
        answers = self.answers()  # first: to answer may change what is shown
        return host.Hosted(self._code.esm, self._code.css, self.state(), answers)

    def figure(self, **settings: Any) -> Figure:
        """Draw what it shows as a report figure, in the house style of `lens.figures`.

        Parameters
        ----------
        **settings
            Those of the figure's own function; ``width`` ("single", "double" or mm) and ``title``
            are settings of each.

        Raises
        ------
        BadInput
            Where there is none, or nothing to draw yet.
        """
        raise BadInput(f"A {type(self).__name__} has no report figure; it is saved as .html.")

    def save(self, path: str | Path, *, beside: Sequence[View] = ()) -> Path:
        """Write one HTML file that needs no kernel and no network, or a report figure.

        Parameters
        ----------
        path
            Ends in ``.html``, or in ``.svg``, ``.pdf`` or ``.png`` for `figure`. Missing folders
            are made.
        beside
            Other views that the same page shows below this one. What is chosen in one of them is
            shown in the others where they have it.

        Raises
        ------
        BadInput
            For another kind of file, or a figure of several views.
        """
        path = Path(path)
        if not is_figure(path):
            return save(path, self, *beside)
        if beside:
            raise BadInput(f"Views beside each other are saved as .html, not as {path.name!r}.")
        drawn = self.figure()
        path.parent.mkdir(parents=True, exist_ok=True)
        return drawn.save(path)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        made = super()._repr_mimebundle_(**kwargs)
        if made is None:
            return None
        data, metadata = made if isinstance(made, tuple) else (made, {})
        return {**data, "text/html": f"<p><i>{ASIDE}</i></p>"}, metadata


def is_figure(path: str | Path) -> bool:
    """Tell whether a file's name ends as that of a report figure."""
    return Path(path).suffix.lower() in FIGURES


def save(path: str | Path, *views: View, title: str | None = None) -> Path:
    """Write views as one HTML file that needs no kernel and no network.

    Parameters
    ----------
    path
        Ends in ``.html``. Missing folders are made.
    *views
        One below the other.
    title
        The window's; what the first view calls itself if not given.

    Raises
    ------
    BadInput
        For another kind of file, or where there is nothing to save.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        if is_figure(path):
            raise BadInput(
                f"A page of views is saved as .html, not as {path.name!r}; the figure of one is "
                f"saved by its own .save."
            )
        raise BadInput(f"A view is saved as .html, .svg, .pdf or .png, not as {path.name!r}.")
    if not views:
        raise BadInput("There is nothing to save: give at least one view.")
    for view in views:
        if not isinstance(view, View):
            raise BadInput(f"A page shows views of lens, not a {type(view).__name__}.")
    hosted = [view.hosted() for view in views]
    text = host.page_of(title or views[0].heading, hosted)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
