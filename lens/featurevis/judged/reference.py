"""What real pictures do to a site's units: the scale that a visualization is judged on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lens.capture.run import capture
from lens.errors import BadInput, UnknownSite
from lens.featurevis.objectives import Place
from lens.featurevis.objectives.measures import activation_at
from lens.precision import Precision
from lens.sites import Site

if TYPE_CHECKING:
    from lens.model import Model

_EMBEDDING = "image.embedding"
_AT_ONCE = 64


@dataclass(frozen=True, eq=False, repr=False)
class Reference:
    """Values of all units of a site for some stimuli, and the stimuli in the space of embeddings.

    Attributes
    ----------
    site
        Where the values were taken.
    at
        Where in the site; see ``lens.featurevis.objectives``.
    values
        (stimuli, units) float32.
    features
        (stimuli, dim), each of length 1: the stimuli as the model itself embeds them; None where
        that isn't known.
    other
        A second model, or None.
    other_features
        (stimuli, dim of the second model), each of length 1: the stimuli as that one embeds them.
    """

    site: Site
    at: Place
    values: Float[np.ndarray, "stimuli units"]
    features: Float[np.ndarray, "stimuli dim"] | None = None
    other: Model | None = None
    other_features: Float[np.ndarray, "stimuli other_dim"] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def top(self, unit: int, count: int) -> np.ndarray:
        """Rows of the ``count`` stimuli that excite a unit most, best first."""
        return np.argsort(-self.values[:, unit], kind="stable")[:count]

    def __repr__(self) -> str:
        beside = f", beside {self.other.name}" if self.other is not None else ""
        return f"Reference of {self.site!r}: {len(self):,} stimuli{beside}"


def reference(
    site: Site,
    stimuli: Any = None,
    *,
    at: Place = "mean",
    other: Model | None = None,
    precision: Precision = "auto",
    progress: bool = True,
) -> Reference:
    """Measure what stimuli do to the units of a site, before its final ReLU where there is one.

    Parameters
    ----------
    site
        A site of the image tower.
    stimuli
        Pictures as ``lens.capture`` takes them, or what was measured before: an array (stimuli,
        units), Activations, a Store, or the responses of ``lens.neurons``. By default two of each
        concept and rendering of the embedded glyphs, 5,112 in all.
    at
        Where in the site.
    other
        A second model to show the stimuli to; only where pictures are given.
    precision
        The models' arithmetic.
    progress
        Whether to show progress bars.

    Raises
    ------
    BadInput
        Where what was measured before is of another site, place or number of units, or too little.
    """
    if isinstance(stimuli, Reference):
        if stimuli.site not in (site, site.pre_activation) or stimuli.at != at:
            raise BadInput(
                f"the reference is of {stimuli.site.name}, at={stimuli.at!r}; the images were made "
                f"for {site.name}, at={at!r}."
            )
        return stimuli
    found = _measured_before(site, stimuli, at)
    if isinstance(stimuli, Iterator):  # it is looked at twice
        stimuli = list(stimuli)
    if found is None:
        found = _looked(site.pre_activation, stimuli, at, precision, progress)
        if other is not None:
            seen = capture(
                other, _pictures(stimuli), [_EMBEDDING], precision=precision, progress=progress
            )
            found = Reference(
                found.site, at, found.values, found.features, other, _unit_norm(seen[_EMBEDDING])
            )
    return _checked(found)


def _looked(site: Site, stimuli: Any, at: Place, precision: Precision, progress: bool) -> Reference:
    def kept(place: Site, tensor: Tensor) -> Tensor:
        return activation_at(place, tensor, at) if place == site else tensor

    sites = [site]
    if _embeds(site.model) and site.name != _EMBEDDING:
        sites.append(site.model.site(_EMBEDDING))
    seen = capture(
        site.model, _pictures(stimuli), sites, reduce=kept, precision=precision, progress=progress
    )
    features = _unit_norm(seen[_EMBEDDING]) if _embeds(site.model) else None
    return Reference(site, at, np.asarray(seen[site]), features)


def _measured_before(site: Site, given: Any, at: Place) -> Reference | None:
    """Take values out of what holds some; None where pictures were given."""
    before = site.pre_activation
    if isinstance(given, (np.ndarray, Tensor)) and given.ndim == 2:
        return Reference(before, at, np.asarray(torch.as_tensor(given).float()))
    if hasattr(given, "values_of"):  # Activations and Store
        for place in (before, site):
            with suppress(UnknownSite):
                values = given.values_of(place.name, at)
                features = given.get(_EMBEDDING)
                return Reference(place, at, values, _whole(values, features))
        raise BadInput(f"{site.name} was not captured: there are {', '.join(given)}.")
    if hasattr(given, "pool") and hasattr(given, "embeddings"):  # lens.neurons' responses
        if given.site != before or given.pool != at:
            raise BadInput(
                f"the responses are of {given.site.name}, pool={given.pool!r}; the images were "
                f"made for {before.name}, at={at!r}."
            )
        return Reference(before, at, given.values, given.embeddings)
    return None


def _whole(values: np.ndarray, features: Any) -> np.ndarray | None:
    fits = features is not None and features.ndim == 2 and len(features) == len(values)
    return _unit_norm(features) if fits else None


def _checked(found: Reference) -> Reference:
    values = np.asarray(found.values, dtype=np.float32)
    if values.ndim != 2 or values.shape[1] != found.site.n_units:
        raise BadInput(
            f"values of {found.site.name} have {found.site.n_units} columns, one a unit, not the "
            f"shape {values.shape}."
        )
    read = np.isfinite(values).all(1)  # a store keeps a row of NaN for what could not be read
    if read.sum() < 2:
        raise BadInput(f"two stimuli or more are needed to compare with, not {int(read.sum())}.")
    if read.all():
        return Reference(
            found.site, found.at, values, found.features, found.other, found.other_features
        )
    features, others = (
        None if rows is None else rows[read] for rows in (found.features, found.other_features)
    )
    return Reference(found.site, found.at, values[read], features, found.other, others)


def _pictures(stimuli: Any) -> Any:
    """Pictures for a model; stimuli that are drawn when asked for are asked for many at once."""
    if stimuli is None:
        from lens.data import glyphs

        stimuli = glyphs().stimuli(per_cell=2)
    return _drawn(stimuli) if hasattr(stimuli, "pixels") else stimuli


def _drawn(stimuli: Any) -> Iterator[np.ndarray]:
    for start in range(0, len(stimuli), _AT_ONCE):
        yield stimuli.pixels(np.arange(start, min(start + _AT_ONCE, len(stimuli))))


def _embeds(model: Model) -> bool:
    return model.has_site(_EMBEDDING)


def _unit_norm(rows: Any) -> np.ndarray:
    rows = np.asarray(rows[:])
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
