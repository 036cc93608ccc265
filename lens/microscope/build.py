"""``lens.microscope``: builds a web site of a model, and goes on where a build was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tqdm.auto import tqdm

from lens.errors import BadInput
from lens.microscope.assets import assets
from lens.microscope.drawing import draw, kept_parts, write_examples, write_thumbnails
from lens.microscope.featured import AGAIN, drawers, featured, probe_of
from lens.microscope.finding_page import compare_page, search_index, search_page
from lens.microscope.findings import Findings, find
from lens.microscope.folder import PARTS, Folder
from lens.microscope.index_page import index_page
from lens.microscope.judging import apart, judge_of, quality_rows, said_of
from lens.microscope.keeping import dumps, loads
from lens.microscope.markup import number as written
from lens.microscope.parts import Drawing, Drawn, Job, drawn
from lens.microscope.pieces import Shown
from lens.microscope.plan import Drawer, Engine, Plan, make_plan
from lens.microscope.result import Microscope, read
from lens.microscope.site_page import data_script, parsed, site_data, site_page
from lens.microscope.unit_page import unit_page
from lens.neurons.responses import Pool, Responses, responses
from lens.sites import Site

if TYPE_CHECKING:
    import pandas as pd

    from lens.model import Model

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
    facets: Mapping[str, Drawer] | Literal["multimodal", False] | None = "multimodal",
    quality: bool | pd.DataFrame = True,
    vocabulary: Sequence[str] | None = None,
    batch_size: int = 32,
    workers: int | None = None,
    engine: Engine = "local",
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
        ``"multimodal"`` draws the best multimodal units (24 of a site, two of a concept) by way of
        each facet that the stimuli have, as a picture, a drawing, a written word (Goh et al. 2021),
        and once more from other noise. False: no facets. A mapping holds more pictures of every
        unit, by name: settings for `lens.visualize` each, or a function that takes units and
        returns what `lens.visualize` does.
    quality
        Whether to measure how good the visualizations are: what a picture does to its unit under
        held-out changes, among two stimuli of each concept and rendering (percentile, ratio), to
        the other units (selectivity), its likeness to the unit's best stimuli in this model and in
        a second one (agreement, transfer), and to the picture from other noise, where there is one
        (diversity); see `lens.featurevis.judged.quality`. A table measured before may take its
        place: its column ``unit`` (and ``site``, where there are several) says of what, its other
        columns are shown.
    vocabulary
        Words that units may pull towards; the stimuli's own if not given.
    batch_size
        Pictures made at once, and what a kill of a worker loses at most. In float32, it decides the
        last digits of pixels.
    workers
        How many processes draw, or, with ``engine="ray"``, actors of the cluster. The bytes are the
        same (in float32, where each has as many threads). 1 is this process; by default one for
        each thread of torch's, as far as there are parts and memory for them, and this process on
        a GPU; on a cluster, one a CPU or GPU.
    engine
        "local", or "ray": on the cluster that Ray is connected to or that ``RAY_ADDRESS`` names,
        else on one of this machine's meanwhile.
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
    WorkerLost
        If workers die again and again; the same call goes on from there.
    NotWritten
        For a full disk; the same call goes on from there.

    Examples
    --------
    >>> lens.microscope(lens.load(), "site/", units=range(64)).open()  # doctest: +SKIP
    """
    folder = Folder(path)
    plan = make_plan(
        model, sites, stimuli, units, activations, visualize, facets, quality, vocabulary,
        batch_size, workers, engine,
    )  # fmt: skip
    if folder.claim(plan, overwrite):
        folder.sweep()
    else:
        with folder.building(plan, overwrite):
            left_out = build(folder, plan, bars_for(progress))
            folder.finish(plan, left_out)
            folder.sweep()
    manifest = read(folder.path)
    assert manifest is not None
    return Microscope(folder.path, manifest)


def build(folder: Folder, plan: Plan, bars: Bars) -> list[str]:
    """Build what is not there yet; return what is left out."""
    data = []
    for number, (site, units) in enumerate(plan.chosen):
        known = f"{number}/data.js"  # written last: a site that has it is done
        if not folder.has(known):
            kept = f"{PARTS}/{number}-shown.json"
            if not folder.has(kept):
                shown = _look(folder, plan, number, site, units, bars)
                folder.write(kept, dumps(shown), durable=True)
            write_site(folder, loads(folder.read(kept).decode(), site), bars)
        data.append(parsed(folder.read(known).decode()))
    return write_rest(folder, plan, data)


def write_site(folder: Folder, shown: Shown, bars: Bars | None = None) -> None:
    """Write the pages of a site, and what scripts read of it."""
    with (bars or bars_for(False))(f"{shown.site.name} pages", len(shown.units)) as bar:
        for place, unit in enumerate(shown.units):
            folder.write(f"{shown.number}/unit/{unit}.html", unit_page(shown, place))
            bar.update(1)
    folder.write(f"{shown.number}/site.html", site_page(shown))
    folder.write(f"{shown.number}/data.js", data_script(site_data(shown)), durable=True)


def write_rest(folder: Folder, plan: Plan, data: Sequence[dict[str, Any]]) -> list[str]:
    """Write all that is no site's; return what is left out of the web site."""
    told = [note for site in data for note in site["notes"]]
    notes = list(dict.fromkeys([*plan.left_out, *plan.notes, *told]))
    for name, text in assets().items():
        folder.write(f"assets/{name}", text)
    folder.write("search.js", search_index(data))
    folder.write("search.html", search_page(plan.model.name))
    folder.write("compare.html", compare_page(plan.model.name, data))
    folder.write("index.html", index_page(plan, data, notes), durable=True)
    return notes


def _look(
    folder: Folder, plan: Plan, number: int, site: Site, units: list[int], bars: Bars
) -> Shown:
    """Find out all that the pages of a site say; what takes long is kept part by part."""
    measured = _responses(folder, plan, number, site, bars)
    findings = find(measured, units, plan.vocabulary)
    notes = [*plan.notes, *findings.notes]
    job = _job(folder, plan, number, site, measured, findings, notes)

    every = sum(len(drawing.units) for drawing in job.drawings)
    with bars(f"{site.name} visualize", every) as bar:
        draw(folder, job, plan.workers, plan.engine, bar.update)
    drawings: dict[str, dict[int, Drawn]] = {}
    recipes: dict[str, dict[str, Any]] = {}
    for drawing in job.drawings:
        parts = [drawn(kept) for kept in kept_parts(folder, job, drawing.kind)]
        drawings[drawing.name] = {u: one for found, _ in parts for u, one in found.items()}
        recipes[drawing.name] = next((recipe for _, recipe in parts if recipe), {})
    if "" in drawings:
        write_thumbnails(folder, job, units)

    wanted = {facts.unit: facts.rows.tolist() for facts in findings.units if facts.alive}
    shown = {row for rows in wanted.values() for row in rows}
    with bars(f"{site.name} examples", len(shown)) as bar:
        paths = write_examples(folder, number, measured, wanted, bar.update)
    asked = {drawing.name: drawing.units for drawing in job.drawings}
    if job.judge is not None:
        rows = quality_rows(drawings[""], job.judge, _apart(folder, job))
        recipes[""] = {**recipes[""], "quality": said_of(job.judge)}
    else:
        rows = _quality(plan, site)
    return Shown(number, site, units, findings, drawings, asked, recipes, paths, rows, notes)


def _job(
    folder: Folder,
    plan: Plan,
    number: int,
    site: Site,
    measured: Responses,
    findings: Findings,
    notes: list[str],
) -> Job:
    """Decide what is drawn; say what is not."""
    units = [facts.unit for facts in findings.units]
    drawings = [
        Drawing(place if "" in plan.drawers else place + 1, name, drawer, units)
        for place, (name, drawer) in enumerate(plan.drawers.items())
    ]
    plain = plan.drawers.get("")
    few = featured(findings.units) if plan.facets else []
    if plan.facets and not few:
        notes.append("No unit answers to one concept in every rendering: none is drawn by facets.")
    if few:
        assert isinstance(plain, Mapping)
        more: dict[str, Any] = {AGAIN: {**plain, "seed": plain.get("seed", 0) + 1}}
        try:
            probe = probe_of(folder, number, site, plan.stimuli)
            more |= drawers(probe, plain, site.pre_activation, plan.batch_size)
            told = f" and by way of their facets ({', '.join(probe.facets)})"
        except BadInput as problem:
            notes.append(f"No facets are drawn: {problem}")
            told = ""
        if len(few) < len(units):
            notes.append(
                f"The {len(few)} best multimodal units are drawn once more from other noise{told}; "
                f"the others have one picture."
            )
        drawings += [
            Drawing(len(drawings) + i, name, drawer, few)
            for i, (name, drawer) in enumerate(more.items())
        ]
    judge = None
    if plan.judged and isinstance(plain, Mapping):
        judge = judge_of(folder, number, measured, plain, notes)
    return Job(number, site, drawings, plan.batch_size, judge)


def _apart(folder: Folder, job: Job) -> dict[int, tuple[float, float]]:
    """Compare the two pictures of units that have two."""
    kinds = {drawing.name: drawing.kind for drawing in job.drawings}
    if AGAIN not in kinds or job.judge is None:
        return {}
    one, other = (
        {
            unit: part["embedded"][i]
            for part in kept_parts(folder, job, kinds[name])
            if "embedded" in part
            for i, unit in enumerate(part["units"].tolist())
        }
        for name in ("", AGAIN)
    )
    pairs = {u: apart(one[u], other[u], u, job.judge) for u in other if u in one}
    return {unit: found for unit, found in pairs.items() if found is not None}


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


def _quality(plan: Plan, site: Site) -> dict[int, list[tuple[str, str, str]]]:
    """Sort a table of measures by unit, as a person reads them."""
    if plan.quality is None:
        return {}
    table = plan.quality
    if "site" in table:
        table = table[table["site"].isin([site.name, site.pre_activation.name])]
    found: dict[int, list[tuple[str, str, str]]] = {}
    for row in table.to_dict("records"):
        rest = {str(key): value for key, value in row.items() if key not in ("unit", "site")}
        found[int(row["unit"])] = [(key, _shown(value), "") for key, value in rest.items()]
    return found


def _shown(value: Any) -> str:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return written(float(value)) if is_number else str(value)


def bars_for(progress: bool) -> Bars:
    """Make progress bars, or what counts without showing."""

    @contextmanager
    def bar(what: str, count: int) -> Iterator[Any]:
        with tqdm(total=count, desc=what, unit="", disable=not progress) as shown:
            yield shown

    bar.quiet = not progress  # type: ignore[attr-defined]
    return bar
