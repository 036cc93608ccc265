"""What a web site is to be made of: checked before any work, and written down with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from lens import __version__
from lens.errors import BadInput, StoreMismatch, UnitOutOfRange
from lens.neurons.responses import default_site, default_stimuli, pictures, stimuli_key
from lens.sites import Site, Unit

if TYPE_CHECKING:
    from lens.featurevis import Visualization
    from lens.model import Model

VERSION = 2
#: Enough for a look on a small model.
STEPS = 128
# Pictures that stand for a data set that has no key of its own.
SAMPLED = 64

#: Who draws: processes of this machine, or a cluster.
Engine = Literal["local", "ray"]

#: How units are drawn: settings for `lens.visualize`, or what takes units and gives a result.
Drawer = Mapping[str, Any] | Callable[[Sequence[Unit]], "Visualization"]


@dataclass(frozen=True, eq=False)
class Plan:
    """All that decides the bytes of a web site.

    Attributes
    ----------
    model, stimuli
        What is looked at, and with what.
    chosen
        Sites, each with the numbers of the units that get a page.
    left_out
        Sentences about sites that were asked for and can't have pages.
    drawers
        How pictures of all units are made, by name; "" is the plain visualization and comes first.
    facets
        Whether the best multimodal units are drawn by way of every facet too.
    judged
        Whether the quality of the visualizations is measured.
    activations, vocabulary, batch_size, workers, engine
        As `lens.microscope` takes them.
    quality
        A table of what was measured before.
    notes
        What nobody asked for: a sentence each.
    """

    model: Model
    stimuli: Any
    chosen: list[tuple[Site, list[int]]]
    left_out: list[str]
    drawers: dict[str, Drawer]
    facets: bool = False
    judged: bool = False
    activations: Any = None
    quality: pd.DataFrame | None = None
    vocabulary: Sequence[str] | None = None
    batch_size: int = 32
    workers: int | None = None
    engine: Engine = "local"
    notes: list[str] = field(default_factory=list)

    def identity(self) -> dict[str, Any]:
        """Return what has to agree for a build to go on, by the names that a message uses."""
        words = None if self.vocabulary is None else _digest(list(map(str, self.vocabulary)))
        quality: Any = "measured" if self.judged else None
        if self.quality is not None:
            quality = _digest(self.quality.to_csv(index=False))
        return {
            "model": self.model.name,
            "weights": self.model.fingerprint,
            "stimuli": _stimuli(self.stimuli),
            "sites": [site.name for site, _ in self.chosen],
            "units": [_digest(units) for _, units in self.chosen],
            "pictures": {name: told(drawer) for name, drawer in self.drawers.items()},
            "facets": "of multimodal units" if self.facets else "as given",
            "activations": "a pass of its own" if self.activations is None else "captured before",
            "quality": quality,
            "vocabulary": words,
            "batch size": self.batch_size,
        }

    def manifest(self, finished: bool, left_out: Sequence[str] = ()) -> dict[str, Any]:
        """Return what ``site.json`` holds."""
        return {
            "format": "lens-microscope",
            "version": VERSION,
            "finished": finished,
            "model": self.model.name,
            "made of": self.identity(),
            "made with": {"lens": __version__},
            "left out": list(left_out),
            "sites": [
                {"number": number, "name": site.name, "units": units}
                for number, (site, units) in enumerate(self.chosen)
            ],
        }


def make_plan(
    model: Model,
    sites: Any,
    stimuli: Any,
    units: Iterable[int] | None,
    activations: Any,
    visualize: bool | Mapping[str, Any],
    facets: Mapping[str, Drawer] | str | bool | None,
    quality: pd.DataFrame | bool | None,
    vocabulary: Sequence[str] | None,
    batch_size: int,
    workers: int | None,
    engine: Engine,
) -> Plan:
    """Check what was asked for, and put it together; see `lens.microscope`."""
    asked = [default_site(model)] if sites is None else model.sites(sites)
    kept = [site for site in asked if site.tower == "image"]
    left_out = [
        f"{site.name} is in the {site.tower} tower; the stimuli are pictures, so its units have no "
        f"pages."
        for site in asked
        if site.tower != "image"
    ]
    if not kept:
        raise BadInput(
            f"{left_out[0] if left_out else 'No sites were given.'} Choose sites of the image "
            f"tower."
        )
    stimuli = default_stimuli() if stimuli is None else stimuli
    if not isinstance(getattr(stimuli, "table", None), pd.DataFrame) or not len(stimuli):
        raise BadInput(
            "Stimuli need a `.table` that says which concept and rendering each one shows, such as "
            "lens.data.glyphs().stimuli() has."
        )
    for name, value in (("batch_size", batch_size), ("workers", workers)):
        whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not whole and not (name == "workers" and value is None):
            raise BadInput(f"{name} is a whole number above 0, not {value!r}.")
    if engine not in ("local", "ray"):
        raise BadInput(f"engine is 'local' or 'ray', not {engine!r}.")
    table = quality if isinstance(quality, pd.DataFrame) else None
    if table is not None and "unit" not in table:
        raise BadInput(f"A table of quality needs a column 'unit'; it has {list(table)}.")
    if table is None and quality not in (True, False, None):
        raise BadInput(f"quality is True, False or a table with a column 'unit', not {quality!r}.")
    if not isinstance(facets, Mapping) and facets not in ("multimodal", False, None):
        raise BadInput(
            f"facets is 'multimodal', False, or settings for lens.visualize by name, not "
            f"{facets!r}."
        )
    manifest = getattr(activations, "manifest", None)
    if manifest is not None and manifest.weights != model.fingerprint:
        raise BadInput(
            f"{activations.path} was captured from {manifest.model} with the weights "
            f"{manifest.weights}; this {model.name} has the weights {model.fingerprint}."
        )
    drawers: dict[str, Drawer] = {}
    notes = []
    if visualize is False:
        notes.append("No visualizations were asked for: units are shown by their best example.")
    else:
        drawers[""] = {"steps": STEPS, **(visualize if isinstance(visualize, Mapping) else {})}
        if facets in (False, None):
            notes.append("No facets were asked for: every unit has one visualization.")
        if quality in (False, None) if table is None else False:
            notes.append("The quality of the visualizations was not asked for.")
    given = dict(facets) if isinstance(facets, Mapping) else {}
    drawers |= given
    chosen = [(site, _numbers(site, units)) for site in kept]
    return Plan(
        model, stimuli, chosen, left_out, drawers, facets == "multimodal" and "" in drawers,
        quality is True and "" in drawers, activations, table, vocabulary, batch_size, workers,
        engine, notes,
    )  # fmt: skip


def check_same(found: Mapping[str, Any], plan: Plan, where: object) -> None:
    """Refuse to go on with a web site of something else.

    Raises
    ------
    StoreMismatch
        Naming everything that differs.
    """
    ours, wanted = found.get("made of", {}), json.loads(json.dumps(plan.identity()))
    if found.get("version") != VERSION:
        ours = {**ours, "version of the layout": found.get("version")}
        wanted["version of the layout"] = VERSION
    differs = tuple(key for key in {**ours, **wanted} if ours.get(key) != wanted.get(key))
    if not differs:
        return
    listed = ", ".join(_difference(key, ours.get(key), wanted.get(key)) for key in differs)
    error = StoreMismatch(
        f"{where} is a microscope of another {listed}; give another folder, or overwrite=True to "
        f"make it anew."
    )
    error.differs = differs
    raise error


def told(value: Any) -> Any:
    """Say what a setting is, as JSON has it and the same in every process."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): told(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [told(part) for part in value]
    if callable(getattr(value, "recipe", None)):
        return json.loads(json.dumps(value.recipe()))
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return type(value).__qualname__


def _numbers(site: Site, units: Iterable[int] | None) -> list[int]:
    if units is None:
        return list(range(site.n_units))
    wanted = sorted({int(unit) for unit in units})
    kept = [unit for unit in wanted if 0 <= unit < site.n_units]
    if not kept:
        raise UnitOutOfRange(
            f"{site.name} of {site.model.name} has the units 0 to {site.n_units - 1}, and none of "
            f"those asked for."
        )
    return kept


def _stimuli(stimuli: Any) -> str:
    """Name stimuli by their content, in every process alike."""
    if getattr(stimuli, "key", None) is not None:
        return stimuli_key(stimuli)
    found = hashlib.sha256(stimuli.table.to_csv(index=False).encode("utf-8", "replace"))
    step = max(1, len(stimuli) // SAMPLED)
    for row in range(0, len(stimuli), step):
        found.update(np.ascontiguousarray(pictures(stimuli, [row])[0]).tobytes())
    return found.hexdigest()[:12]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def _difference(key: str, ours: Any, wanted: Any) -> str:
    if key in ("weights", "units", "quality", "vocabulary", "facets"):
        return {"units": "choice of units", "weights": "weights"}.get(key, key)
    if key == "pictures" and isinstance(ours, dict) and isinstance(wanted, dict):
        both = {**ours, **wanted}
        changed = [n for n in both if ours.get(n) != wanted.get(n)]
        if changed == [""] and isinstance(ours.get(""), dict) and isinstance(wanted.get(""), dict):
            old, new = ours[""], wanted[""]
            names = [n for n in {**old, **new} if old.get(n) != new.get(n)]
            return ", ".join(f"{n} ({old.get(n)!r}, not {new.get(n)!r})" for n in names)
        named = ", ".join(n or "visualizations" for n in changed)
        return f"choice of pictures ({named})"
    if key == "sites":
        return f"choice of sites ({', '.join(ours or [])}, not {', '.join(wanted)})"
    return f"{key} ({ours!r}, not {wanted!r})"
