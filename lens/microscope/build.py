"""``lens.microscope``: builds a web site of a model, and goes on where a build was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from lens.microscope.drawing import Drawn, draw_units, write_examples, write_thumbnails
from lens.microscope.finding_page import compare_page, search_index, search_page
from lens.microscope.findings import find
from lens.microscope.folder import Folder
from lens.microscope.index_page import index_page
from lens.microscope.markup import number as written
from lens.microscope.pieces import Shown
from lens.microscope.plan import Drawer, Plan, make_plan
from lens.microscope.result import Microscope, read
from lens.microscope.site_page import data_script, parsed, site_data, site_page
from lens.microscope.unit_page import unit_page
from lens.neurons.responses import Pool, Responses, responses
from lens.sites import Site

if TYPE_CHECKING:
    import pandas as pd

    from lens.model import Model

ASSETS = ("microscope.css", "microscope.js", "unit.js", "site.js", "search.js", "compare.js")

#: Makes a progress bar: (what, how many) -> a function that counts on.
Bars = Callable[[str, int], Any]


def microscope(
    model: Model,
    path: str | Path,
    sites: Any = None,
    stimuli: Any = None,
    *,
    units: Iterable[int] | None = None,
    activations: Any = None,
    visualize: bool | Mapping[str, Any] = True,
    facets: Mapping[str, Drawer] | None = None,
    quality: pd.DataFrame | None = None,
    vocabulary: Sequence[str] | None = None,
    batch_size: int = 32,
    overwrite: bool = False,
    progress: bool = True,
) -> Microscope:
    """Build a static web site with a page for every unit.

    It opens from the disk and from any static host, without a network. Killed at any moment, the
    same call goes on where it was, and ends with the same bytes; a site that is finished is
    returned at once.

    Parameters
    ----------
    model
        What `lens.load` or `lens.wrap` returned.
    path
        A folder: new, empty, or begun by the same call.
    sites
        Names, globs or sites of the image tower; the last stage if not given.
    stimuli
        What the units are looked at with, as in `lens.neuron`; the embedded glyphs if not given.
    units
        Numbers of the units that get a page, at each site; all of them if not given.
    activations
        What `lens.capture` made of these stimuli, in memory or a store: no pass over them is made
        then, and only the examples that are shown go through the model.
    visualize
        False leaves feature visualizations out; a mapping holds settings for `lens.visualize`,
        such as ``{"steps": 256}`` (here, 128 if not given).
    facets
        More pictures of every unit, by name: settings for `lens.visualize` each, or a function
        that takes units and returns what `lens.visualize` does.
    quality
        What was measured of the visualizations: a table with a column ``unit`` (and ``site``, where
        there are several); its other columns are shown.
    vocabulary
        Words that units may pull towards; the stimuli's own if not given.
    batch_size
        Pictures made at once, and what a kill loses at most. In float32, it decides the last digits
        of pixels.
    overwrite
        Build although the folder holds another web site, which is deleted, or files that are not
        ours, which stay. What the same call began is gone on with.
    progress
        Show progress bars.

    Returns
    -------
    Microscope
        Where it is; ``.open()`` shows it.

    Raises
    ------
    BadInput
        For sites outside the image tower, stimuli without a table, or a folder with other files.
    StoreMismatch
        For a folder with the web site of another model, stimuli or settings, naming what differs.
    StoreBusy
        Where another process is building in that folder.
    NotWritten
        For a full disk; the same call goes on from there.

    Examples
    --------
    >>> lens.microscope(lens.load(), "site/", units=range(64)).open()  # doctest: +SKIP
    """
    folder = Folder(path)
    plan = make_plan(
        model, sites, stimuli, units, activations, visualize, facets, quality, vocabulary,
        batch_size,
    )  # fmt: skip
    if folder.claim(plan, overwrite):
        folder.sweep()
    else:
        with folder.building(plan, overwrite):
            _build(folder, plan, _bars(progress))
    manifest = read(folder.path)
    assert manifest is not None
    return Microscope(folder.path, manifest)


def _build(folder: Folder, plan: Plan, bars: Bars) -> None:
    data = []
    notes = [*plan.left_out, *plan.notes]
    for number, (site, units) in enumerate(plan.chosen):
        known = f"{number}/data.js"  # written last: a site that has it is done
        if not folder.has(known):
            shown = _look(folder, plan, number, site, units, bars)
            _write_site(folder, shown, bars)
            folder.write(known, data_script(site_data(shown)), durable=True)
        data.append(parsed(folder.read(known).decode()))
    here = Path(__file__).parent
    for asset in ASSETS:
        folder.write(f"assets/{asset}", (here / asset).read_bytes())
    folder.write("search.js", search_index(data))
    folder.write("search.html", search_page(plan.model.name))
    folder.write("compare.html", compare_page(plan.model.name, data))
    folder.write("index.html", index_page(plan, data, notes), durable=True)
    folder.finish(plan)


def _look(
    folder: Folder, plan: Plan, number: int, site: Site, units: list[int], bars: Bars
) -> Shown:
    """Find out all that the pages of a site say; what takes long is kept part by part."""
    measured = _responses(folder, plan, number, site, bars)
    drawn: dict[str, dict[int, Drawn]] = {}
    recipes: dict[str, dict[str, Any]] = {}
    for place, (name, drawer) in enumerate(plan.drawers.items()):
        kind = place if "" in plan.drawers else place + 1
        with bars(f"{site.name} visualize{f' {name}' if name else ''}", len(units)) as bar:
            drawn[name], recipes[name] = draw_units(
                folder, number, site, units, kind, drawer, plan.batch_size, bar.update
            )
    if "" in drawn:
        write_thumbnails(folder, number, units, plan.batch_size)
    findings = find(measured, units, plan.vocabulary)
    wanted = {facts.unit: facts.rows.tolist() for facts in findings.units if facts.alive}
    every = {row for rows in wanted.values() for row in rows}
    with bars(f"{site.name} examples", len(every)) as bar:
        paths = write_examples(folder, number, measured, wanted, bar.update)
    quality = _quality(plan, site)
    notes = [*findings.notes, *plan.notes]
    return Shown(number, site, units, findings, drawn, recipes, paths, quality, notes)


def _responses(folder: Folder, plan: Plan, number: int, site: Site, bars: Bars) -> Responses:
    """Show the stimuli to the model once, whatever ends this process."""
    if plan.activations is not None:
        return responses(site, plan.stimuli, activations=plan.activations)
    kept = folder.kept(f"{number}-responses")
    if kept is None:
        quiet = getattr(bars, "quiet", False)
        measured = responses(site, plan.stimuli, progress=not quiet)
        more = {} if measured.embeddings is None else {"embeddings": measured.embeddings}
        folder.keep(f"{number}-responses", values=measured.values, **more)
        return measured
    where = site.pre_activation
    pool: Pool = "cls" if where.n_prefix else "mean"
    return Responses(where, pool, plan.stimuli, kept["values"], kept.get("embeddings"))


def _write_site(folder: Folder, shown: Shown, bars: Bars) -> None:
    with bars(f"{shown.site.name} pages", len(shown.units)) as bar:
        for place, unit in enumerate(shown.units):
            folder.write(f"{shown.number}/unit/{unit}.html", unit_page(shown, place))
            bar.update(1)
    folder.write(f"{shown.number}/site.html", site_page(shown))


def _quality(plan: Plan, site: Site) -> dict[int, list[tuple[str, str]]]:
    """Sort a table of measures by unit, as a person reads them."""
    if plan.quality is None:
        return {}
    table = plan.quality
    if "site" in table:
        table = table[table["site"].isin([site.name, site.pre_activation.name])]
    found: dict[int, list[tuple[str, str]]] = {}
    for row in table.to_dict("records"):
        rest = {str(key): value for key, value in row.items() if key not in ("unit", "site")}
        found[int(row["unit"])] = [(key, _shown(value)) for key, value in rest.items()]
    return found


def _shown(value: Any) -> str:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return written(float(value)) if is_number else str(value)


def _bars(progress: bool) -> Bars:
    @contextmanager
    def bar(what: str, count: int) -> Iterator[Any]:
        with tqdm(total=count, desc=what, unit="", disable=not progress) as shown:
            yield shown

    bar.quiet = not progress  # type: ignore[attr-defined]
    return bar
