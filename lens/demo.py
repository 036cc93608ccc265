"""``lens demo``: the multimodal units of a model, as a table, a sheet and a page, in a minute."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from lens.featurevis import Visualization
    from lens.model import Model
    from lens.neurons.responses import Responses
    from lens.sites import Site
    from lens.widgets.neuron import NeuronPage

NOTEBOOK = "02_multimodal_neurons.ipynb"

# What fits into a minute on two cores: one vendor's pictures stand for all pictures.
RENDERINGS = ("cartoon", "drawing", "word")
PER_CELL = 12
STEPS = 64

# What counts as found: the weakest rendering's AUROC, and the false-discovery rate.
SCORE, RATE = 0.95, 0.05


def demo(
    folder: str | Path = "lens-demo",
    *,
    load: Callable[[], Model] | None = None,
    units: int = 24,
    concepts: list[str] | None = None,
    steps: int = STEPS,
) -> Path:
    """Print the table of multimodal units; save a contact sheet and a page of the best ones.

    Parameters
    ----------
    folder
        Where the files go; it is made.
    load
        Opens the model; the embedded default's loader if not given.
    units
        How many units get a feature visualization.
    concepts
        A subset of the glyphs' concepts; all if not given.
    steps
        Of each visualization.

    Returns
    -------
    Path
        The page.
    """
    began = time.perf_counter()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    with _timed("load the model"):
        import lens
        from lens.data import glyphs
        from lens.neurons.contact_sheet import contact_sheet
        from lens.neurons.multimodal import table_of
        from lens.neurons.responses import default_site, responses
        from lens.sites import Unit

        model = (load or lens.load)()
        site = default_site(model)
        stimuli = glyphs().stimuli(PER_CELL, concepts=concepts, renderings=RENDERINGS)

    print(f"\n{model!r}")
    print(f"{site.n_units:,} units of {site.name} look at {len(stimuli):,} stimuli:")
    print(f"{stimuli.table['concept'].nunique()} concepts, each as {', '.join(RENDERINGS)}\n")
    with _timed("show the stimuli"):
        measured = responses(site, stimuli)
    with _timed("test every unit against every concept"):
        table = table_of(measured)
    print()
    print(summary(table))
    print()

    best = table.head(units)
    with _timed(f"visualize {len(best)} units"):
        pooled: Literal["cls", "mean"] = "cls" if site.n_prefix else "mean"  # as the responses are
        drawn = lens.visualize(site.units(best["unit"]), steps=steps, at=pooled)
        made = {unit.index for unit in drawn.units if isinstance(unit, Unit)}
        best = best[best["unit"].isin(made)]  # all but units whose objective became NaN
    with _timed("draw the contact sheet"):
        sheet = folder / "contact-sheet.png"
        contact_sheet(
            measured,
            best,
            drawn.images,
            "Units that answer to a concept, however it is shown",
            f"{model.name} {site.name}: the {len(best)} best of {site.n_units:,} units. Left: an "
            f"image made to excite the unit. Right: what excites it most, and AUROC.",
        ).save(sheet)
    with _timed("write the page"):
        page = folder / f"unit-{best['unit'].iloc[0]}.html"
        _page(site, measured, best, drawn).save(page)

    print(f"\ncontact sheet   {sheet}")
    print(f"neuron page     {page}   (open it in any browser; no network needed)")
    print(f"done in {time.perf_counter() - began:.0f} s")
    return page


def summary(table: pd.DataFrame, rows: int = 20) -> str:
    """Say how many units were found, and list the best."""
    found = table[(table["score"] >= SCORE) & (table["q"] <= RATE)]
    left_out = table.attrs["left_out"]
    aside = f", {left_out} more left out: their picture contains writing" if left_out else ""
    return (
        f"{len(found)} of {len(table):,} units answer to one concept in every rendering: held-out "
        f"score >= {SCORE}\nat {RATE:.0%} false discoveries "
        f"({table.attrs['tests']:,} tests, {table.attrs['concepts']} concepts{aside}).\n"
        f"Last columns: AUROC by rendering; score: the smallest of them; n: held-out stimuli.\n\n"
        f"{listed(table.head(rows))}"
    )


def listed(table: pd.DataFrame) -> str:
    """Write rows of the table as text, each number with the digits that mean something."""
    digits: dict[str, Callable[[float], str]] = {
        "score": "{:.3f}".format,
        "p": "{:.0e}".format,
        "q": "{:.0e}".format,
        "d_prime": "{:.1f}".format,
        "gap": "{:+.1f}".format,
    }
    short = {str(name): str(name).removeprefix("auroc_") for name in table.columns}
    digits |= {new: "{:.3f}".format for old, new in short.items() if old != new}
    return table.rename(columns=short).to_string(index=False, formatters=digits)


def open_notebook() -> bool:
    """Open the notebook in JupyterLab and wait for its end; False where there is no notebook."""
    here = Path(__file__).resolve().parents[1]
    places = (folder / "notebooks" / NOTEBOOK for folder in (here, Path.cwd()))
    notebook = next((place for place in places if place.exists()), None)
    if notebook is None:
        return False
    print(f"\nopening {notebook.name} in JupyterLab; ctrl-C ends it")
    subprocess.run([sys.executable, "-m", "jupyterlab", str(notebook)], check=False)
    return True


def may_open() -> bool:
    """Tell whether somebody is there to look at a browser."""
    return sys.stdout.isatty() and os.environ.get("NO_BROWSER", "") in ("", "0")


def _page(site: Site, measured: Responses, best: pd.DataFrame, drawn: Visualization) -> NeuronPage:
    """Build the page of the best units from the visualizations that are there."""
    from lens.neurons.card import card
    from lens.widgets.neuron import NeuronPage, pictures

    labels = dict(zip(best["unit"].astype(int), best["concept"].astype(str), strict=True))
    return NeuronPage(
        next(iter(labels)),
        lambda index: card(site.unit(index), measured),
        pictures.drawn(drawn),
        labels,
    )


@contextmanager
def _timed(what: str) -> Iterator[None]:
    """Print what was done and how long it took."""
    began = time.perf_counter()
    yield
    print(f"{time.perf_counter() - began:6.1f} s  {what}", flush=True)
