"""How good is a feature visualization? Five answers, each on the scale of real pictures.

- **percentile, ratio**: what the image does to its unit under held-out changes (blur, noise,
  colour, crops, mirroring, other moves), among what real stimuli do to it.
- **agreement**: whether the stimuli that excite the unit most are those most like the image, in the
  model's own embedding. 0.5 is chance.
- **selectivity**: whether the image excites its own unit more than the site's other units, each
  counted in its own standard deviations.
- **transfer**: agreement once more, but in the embedding of a second model, which the image was not
  made for.
- **diversity**: how unlike the copies for one unit are, beside how unlike its best stimuli are.

References
----------
Olah, Mordvintsev, Schubert, "Feature Visualization", Distill 2017 (dataset examples beside
optimized images). Zimmermann et al., "How Well do Feature Visualizations Support Causal
Understanding of CNN Activations?", NeurIPS 2021 (why the look of an image is no measure).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Int

from lens.errors import BadInput
from lens.featurevis.judged.agreement import agreement, diversity
from lens.featurevis.judged.excited import excited
from lens.featurevis.judged.ranks import percentiles
from lens.featurevis.judged.reference import Reference, reference
from lens.featurevis.objectives import Place
from lens.precision import Precision, in_bf16
from lens.sites import Unit

if TYPE_CHECKING:
    from lens.featurevis.visualization import Visualization
    from lens.model import Model

#: The embedded models look at each other's images.
_OTHER = {"glyph-rn": "glyph-vit", "glyph-vit": "glyph-rn"}


@dataclass(frozen=True, eq=False, repr=False)
class Quality:
    """How good the images of some units are.

    Attributes
    ----------
    images
        A row an image: ``unit``, ``copy``, ``value`` (of the unit, the image as it is),
        ``held_out`` (the mean under held-out changes) with its ``percentile`` among the stimuli and
        its ``ratio`` (0 is the mean stimulus, 1 the mean of the unit's best), ``beats_best`` (it is
        above every stimulus), ``agreement`` and ``transfer`` (AUROC), ``selectivity`` (percent of
        the site's other units that it excites less) and ``rank`` (1: no other unit more). What
        could not be measured has no column.
    kinds
        A row an image, a column a kind of change: the percentile under that kind alone.
    reference
        The stimuli's values; give it as ``stimuli`` to judge other images of the site at once.
    top
        How many of a unit's best stimuli count as its examples.
    diversity
        A row a unit: ``diversity`` (mean cosine distance between its copies, embedded) and
        ``examples_diversity`` (the same between its best stimuli); None for single copies.
    """

    images: pd.DataFrame
    kinds: pd.DataFrame
    reference: Reference
    top: int
    diversity: pd.DataFrame | None = None

    @property
    def table(self) -> pd.DataFrame:
        """A row a unit, in the order of the visualization: means over its copies."""
        owner = (self.images["copy"] == 0).cumsum() - 1
        numbers = self.images.drop(columns="copy")
        found = numbers.groupby(owner.to_numpy()).mean().rename_axis(None)
        found["unit"] = found["unit"].astype(int)
        return found if self.diversity is None else found.join(self.diversity)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        images, site = self.images, self.reference.site
        said = [
            f"under held-out changes at percentile {images['percentile'].median():.4g} of "
            f"{len(self.reference):,} stimuli (median), "
            f"{(images['percentile'] >= 95).mean():.0%} of them at the 95th or above",
            f"{images['beats_best'].mean():.0%} beat every stimulus",
        ]
        if "agreement" in images:
            said.append(f"agreement with the {self.top} best {images['agreement'].median():.3f}")
        said.append(f"{(images['rank'] == 1).mean():.0%} excite no other unit more")
        if "transfer" in images and self.reference.other is not None:
            said.append(
                f"transfer to {self.reference.other.name} {images['transfer'].median():.3f}"
            )
        count = f"{len(self)} image{'s' if len(self) != 1 else ''}"
        return f"Quality of {count} for {site.model.name} {site.name}: {'; '.join(said)}"

    def _repr_html_(self) -> str:
        import html

        table = self.table.to_html(index=False, float_format="{:.4g}".format, max_rows=64)
        return f"<div><p>{html.escape(repr(self))}</p>{table}</div>"


def quality(
    vis: Visualization,
    stimuli: Any = None,
    *,
    other: Model | Literal["default"] | None = "default",
    seed: int = 0,
    draws: int = 4,
    top: int = 10,
    precision: Precision = "auto",
    progress: bool = True,
) -> Quality:
    """Judge the images of units of one site.

    Parameters
    ----------
    vis
        The images, for units or for objectives that begin with one.
    stimuli
        What to compare with: pictures as ``lens.capture`` takes them, an array (stimuli, units), a
        Store, Activations, the responses of ``lens.neurons``, or the ``.reference`` of an earlier
        Quality. By default two of each concept and rendering of the embedded glyphs.
    other
        The second model; the embedded models have each other by default, others none.
    seed
        Of the held-out changes; a run never draws the same.
    draws
        How often to draw each kind of change.
    top
        How many of a unit's best stimuli are its examples.
    precision
        The models' arithmetic.
    progress
        Whether to show progress bars.

    Returns
    -------
    Quality
        ``.table`` has a row a unit.

    Raises
    ------
    BadInput
        Where the images are for units of several sites or for none, or the stimuli are too few or
        were measured elsewhere.
    """
    for name, number, least in (("draws", draws, 1), ("top", top, 1), ("seed", seed, 0)):
        whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
        if not whole or number < least:
            raise BadInput(f"{name} is a whole number, at least {least}, not {number!r}.")
    units, at = _units(vis)
    asked = units[0].site
    if not isinstance(other, str):
        second = other
    elif other == "default":
        measured = isinstance(stimuli, (np.ndarray, Reference)) or hasattr(stimuli, "values_of")
        # There are no pictures to show to a second model where values are given.
        second = None if measured else default_other(asked.model)
    else:
        raise BadInput(f"other is a model, None or 'default', not {other!r}.")
    known = reference(asked, stimuli, at=at, other=second, precision=precision, progress=progress)
    if second is not None and not isinstance(other, str) and known.other is not second:
        raise BadInput(
            f"{second.name} can't be shown the stimuli: values were given, or a reference without "
            "it; give the pictures themselves."
        )
    if len(known) <= top:
        raise BadInput(f"top={top} best of {len(known)} stimuli leave none to compare with.")
    numbers = np.array([unit.index for unit in units])
    copies = _copies(vis)
    bf16 = in_bf16(precision, asked.model.device)
    found = excited(vis, known, numbers, copies, seed, draws, bf16, progress)

    of_unit = known.values[:, numbers]
    best = np.sort(of_unit, axis=0)[::-1][:top]
    middle, spread = of_unit.mean(0), best.mean(0) - of_unit.mean(0)
    images = pd.DataFrame(
        {
            "unit": numbers,
            "copy": copies,
            "value": found.plain,
            "held_out": found.held_out,
            "percentile": percentiles(found.held_out, of_unit),
            "ratio": _over(found.held_out - middle, np.where(best[0] > of_unit.min(0), spread, 0)),
            "beats_best": found.held_out > best[0],
        }
    )
    rows = [known.top(number, top) for number in numbers]
    features = None
    if known.features is not None:
        features = known.site.model.embed(list(vis))
        images["agreement"] = agreement(features, known.features, rows)
    images["selectivity"], images["rank"] = found.selectivity, found.rank
    if known.other is not None and known.other_features is not None:
        images["transfer"] = agreement(known.other.embed(list(vis)), known.other_features, rows)
    kinds = pd.DataFrame(
        {"unit": numbers}
        | {kind: percentiles(values, of_unit) for kind, values in found.kinds.items()}
    )
    apart = None
    if features is not None and known.features is not None and copies.max() > 0:
        apart = diversity(features, known.features, copies, rows)
    return Quality(images, kinds, known, top, apart)


def _units(vis: Visualization) -> tuple[list[Unit], Place]:
    """Which unit each image is for, and where in the site it was looked at."""
    found = [_unit(vis, row) for row in range(len(vis))]
    places = dict.fromkeys((unit.site, at) for unit, at in found)
    if len(places) > 1:
        named = " and ".join(f"{site.name} (at={at!r})" for site, at in list(places)[:2])
        raise BadInput(
            f"the images are for units of {named}: visualize the units of one site together, and "
            "judge them apart."
        )
    return [unit for unit, _ in found], found[0][1]


def _unit(vis: Visualization, row: int) -> tuple[Unit, Place]:
    asked = vis.units[row]
    if isinstance(asked, Unit):
        formula = vis.recipe["objectives"][row // vis.recipe["copies"]]
        at = formula.get("options", {}).get("at", "mean")
        return asked, tuple(at) if isinstance(at, list) else at
    term = next((t for t in asked.terms() if t.kind == "unit"), None)
    if term is None or term.site is None:
        raise BadInput(f"{asked!r} is no unit's objective: its images cannot be compared.")
    return term.site.unit(term.data), dict(term.options).get("at", "mean")


def _copies(vis: Visualization) -> Int[np.ndarray, " images"]:
    return np.arange(len(vis)) % vis.recipe["copies"]


def default_other(model: Model) -> Model | None:
    """Open the second model that looks at a model's images: the embedded ones have each other."""
    if model.name not in _OTHER:
        return None
    from lens.opening import load

    return load(_OTHER[model.name], device=model.device)


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
