"""A store that is open for reading."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from lens.errors import BadInput, BadStore, UnknownSite, suggestion
from lens.sites import Site, Unit, unit_values
from lens.store import blocks
from lens.store.labels import Labels
from lens.store.layout import Layout
from lens.store.lazy import LazyArray
from lens.store.manifest import Manifest, read_manifest
from lens.store.place import Place

if TYPE_CHECKING:
    import pandas as pd
    import zarr

__all__ = ["Store", "open_store"]

Pool = Literal["mean", "max", "cls", "eot"]


def open_store(path: str | Path) -> Store:
    """Open a store for reading; nothing but its manifest is read.

    Parameters
    ----------
    path : str or Path
        A folder, or an address that fsspec opens, such as ``s3://bucket/x.zarr``.

    Raises
    ------
    BadStore
        If it is no store, was edited by hand, or is of a newer version.

    Examples
    --------
    >>> store = lens.store.open("acts.zarr")
    >>> store.top(17, 100)
    """
    place = Place(path)
    manifest = read_manifest(place)
    if manifest is None:
        what = "is no store of activations" if place.has("") else "does not exist"
        raise BadStore(f"{place} {what}; lens.capture(..., store=...) makes one.")
    return Store(place, manifest)


class Store(Mapping[str, LazyArray]):
    """A mapping from site names to arrays on disk, one row an input; nothing is read before.

    Where a verb takes `Activations`, it takes a store. Rows stay where they are: an input that was
    skipped has a row of NaN, and `valid` tells it.

    Attributes
    ----------
    path : str
        Where it is.
    sites : dict of str to StoredSite
        Where each array was taken.
    manifest : Manifest
        What it was made with.
    """

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self.path = place.name
        self.manifest = manifest
        self.sites = {site.name: site for site in manifest.sites}
        self._place = place
        self._layout = Layout(manifest)
        self._made = frozenset(blocks.recorded(place, self._layout))

    # -- the mapping -----------------------------------------------------------------------

    def __getitem__(self, site: Any) -> LazyArray:
        name = self._name(site)
        return LazyArray(self._place, self._layout, self._layout.parts[name], self._made)

    def __iter__(self) -> Iterator[str]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    def __contains__(self, site: object) -> bool:
        return getattr(site, "name", site) in self.sites

    # -- the rows --------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether every block had been made when the store was opened."""
        return len(self._made) == self._layout.n_blocks

    @property
    def rows_done(self) -> int:
        """How many inputs had been through when the store was opened, skipped ones counted."""
        return sum(len(self._layout.rows(block)) for block in self._made)

    @property
    def inputs(self) -> Sequence[str]:
        """What each row is: a file, a text, or a number; read when indexed."""
        return Labels(self._place, self._layout, self._made)

    @cached_property
    def skipped(self) -> list[tuple[str, str]]:
        """Inputs that could not be read, and why."""
        return [(label, why) for record in self._records() for _, label, why in record.skipped]

    def skipped_rows(self, start: int, stop: int) -> list[tuple[int, str, str]]:
        """Return what was skipped among some rows: the row, its label, and why."""
        size = self.manifest.rows_per_block
        asked = self._made & set(range(start // size, (stop - 1) // size + 1))
        records = (blocks.read_record(self._place, block) for block in sorted(asked))
        return [each for record in records for each in record.skipped if start <= each[0] < stop]

    @cached_property
    def valid(self) -> Bool[np.ndarray, " n"]:
        """Which rows have values: not skipped, and of a block that has been made."""
        valid = np.zeros(self.manifest.count, bool)
        for record in self._records():
            rows = self._layout.rows(record.block)
            valid[rows.start : rows.stop] = True
            valid[[row for row, _, _ in record.skipped]] = False
        return valid

    @cached_property
    def text_positions(self) -> Int[np.ndarray, " n"] | None:
        """For texts, the token that each is read at."""
        if self.manifest.sites[0].tower != "text":
            return None
        positions = np.zeros(self.manifest.count, np.int64)
        for record in self._records():
            rows = self._layout.rows(record.block)
            positions[rows.start : rows.stop] = record.positions or 0
        return positions

    def _records(self) -> Iterator[blocks.Record]:
        for block in sorted(self._made):
            yield blocks.read_record(self._place, block)

    # -- whole sites -----------------------------------------------------------------------

    def load(self, site: str | Site | None = None) -> Float[np.ndarray, "n ..."]:
        """Read one site into memory, a row an input."""
        return self[self._name(site)].load()

    def values_of(
        self, site: str | Site | None = None, pool: Pool | None = None
    ) -> Float[np.ndarray, "n units"]:
        """Return one number a unit for each input, pooled block after block.

        Parameters
        ----------
        site : str or Site, optional
            Which; may be left out where there is one.
        pool : {"mean", "max", "cls", "eot"}, optional
            How the places of a site become one number; "mean" by default for pictures, for texts
            "eot". A site that keeps one number a unit already has nothing to pool; of top positions
            it is the largest.
        """
        name = self._name(site)
        array = self[name]
        out = np.empty((len(array), self.sites[name].n_units), np.float32)
        for rows, values in array.blocks():
            out[rows.start : rows.stop] = self._pooled(name, rows, values, pool)
        return out

    def frame(self, site: str | Site | None = None, pool: Pool | None = None) -> pd.DataFrame:
        """Return one number a unit for each input, as a table: inputs down, units across."""
        import pandas as pd

        values = self.values_of(site, pool)
        units = pd.RangeIndex(values.shape[1], name="unit")
        return pd.DataFrame(values, index=pd.Index(list(self.inputs), name="input"), columns=units)

    def _pooled(
        self, name: str, rows: range, values: np.ndarray, pool: Pool | None
    ) -> Float[np.ndarray, "rows units"]:
        if values.ndim == 2:
            return values
        if self.manifest.settings["reduce"] != "full":
            return values[:, :, 0]  # of the top positions, the best comes first
        where = cast("Site", self.sites[name])  # has all that pooling looks at
        tensor = torch.from_numpy(values)
        if self._pool(pool) != "eot":
            return unit_values(where, tensor, cast("Any", self._pool(pool))).numpy()
        position = torch.from_numpy(self._read_at(name)[rows.start : rows.stop])
        return unit_values(where, tensor, position=position).numpy()

    # -- one unit --------------------------------------------------------------------------

    def values_of_unit(
        self, unit: int | Unit, site: str | Site | None = None, pool: Pool | None = None
    ) -> Float[np.ndarray, " n"]:
        """Return one number for each input of one unit; only that unit's chunks are read.

        Parameters
        ----------
        unit : int or Unit
            Its number, or the unit itself, which tells the site too.
        site, pool
            As `values_of` takes them.
        """
        name, number = self._unit(unit, site)
        array = self[name]
        out = np.empty(len(array), np.float32)
        for rows, values in array.units(number):
            out[rows.start : rows.stop] = self._one(name, rows, values, pool)
        return out

    def top(
        self,
        unit: int | Unit,
        k: int = 10,
        *,
        site: str | Site | None = None,
        pool: Pool | None = None,
    ) -> pd.DataFrame:
        """Find the inputs that excite a unit most; only that unit's chunks are read.

        Returns
        -------
        pd.DataFrame
            ``row``, ``input`` and ``value``, best first; of equal values the first row comes first.
        """
        import pandas as pd

        if k < 1:
            raise BadInput(f"k, how many inputs to find, is at least 1, not {k}.")
        values = self.values_of_unit(unit, site, pool)
        known = np.flatnonzero(~np.isnan(values))
        best = known[np.argsort(-values[known], kind="stable")[:k]]
        labels = self.inputs
        return pd.DataFrame(
            {"row": best, "input": [labels[int(row)] for row in best], "value": values[best]}
        )

    def quantiles(
        self,
        unit: int | Unit,
        qs: float | Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
        *,
        site: str | Site | None = None,
        pool: Pool | None = None,
    ) -> Float[np.ndarray, " q"]:
        """Return quantiles of one unit over the inputs; only that unit's chunks are read."""
        asked = np.atleast_1d(np.asarray(qs, np.float64))
        if not ((asked >= 0) & (asked <= 1)).all():
            raise BadInput(f"Quantiles lie between 0 and 1, not {qs!r}.")
        return np.quantile(self._known(unit, site, pool), asked)

    def histogram(
        self,
        unit: int | Unit,
        bins: int = 64,
        *,
        site: str | Site | None = None,
        pool: Pool | None = None,
    ) -> tuple[Int[np.ndarray, " bins"], Float[np.ndarray, " edges"]]:
        """Count the inputs by a unit's value: counts and the edges between them."""
        if bins < 1:
            raise BadInput(f"bins, how many there are, is at least 1, not {bins}.")
        return np.histogram(self._known(unit, site, pool), bins)

    def positions(
        self, unit: int | Unit, *, site: str | Site | None = None
    ) -> Int[np.ndarray, "n k"]:
        """Return where a unit's top positions are, as flat indices into the site's grid."""
        name, number = self._unit(unit, site)
        return self[name].positions(number)

    def _known(self, unit: Any, site: Any, pool: Pool | None) -> np.ndarray:
        values = self.values_of_unit(unit, site, pool)
        known = values[~np.isnan(values)]
        if not len(known):
            raise BadStore(f"{self.path} has no values yet; run the same lens.capture again.")
        return known.astype(np.float64)

    def _one(self, name: str, rows: range, values: np.ndarray, pool: Pool | None) -> np.ndarray:
        """Pool the places of one unit: (rows,)."""
        if values.ndim == 1:
            return values
        if self.manifest.settings["reduce"] != "full":
            return values[:, 0]
        flat = values.reshape(len(values), -1)
        prefix, chosen = self.sites[name].n_prefix, self._pool(pool)
        if chosen == "eot":
            at = self._read_at(name)[rows.start : rows.stop]
            return flat[np.arange(len(flat)), at]
        if chosen == "cls":
            if not prefix:
                raise BadInput(f"{name} has no class token; use 'mean' or 'max'.")
            return flat[:, 0]
        if chosen not in ("mean", "max"):
            raise BadInput(f"pool is 'mean', 'max' or 'cls', not {pool!r}.")
        return flat[:, prefix:].mean(1) if chosen == "mean" else flat[:, prefix:].max(1)

    def _pool(self, pool: Pool | None) -> str:
        return pool or ("eot" if self.manifest.sites[0].tower == "text" else "mean")

    def _read_at(self, name: str) -> np.ndarray:
        if self.text_positions is None:
            raise BadInput(f"{name} has no end-of-text token; use 'mean', 'max' or 'cls'.")
        return self.text_positions

    def _unit(self, unit: int | Unit, site: str | Site | None) -> tuple[str, int]:
        if isinstance(unit, Unit):
            return self._name(site or unit.site), unit.index
        return self._name(site), int(unit)

    # -- soundness and other formats -------------------------------------------------------

    def verify(self) -> list[str]:
        """Read everything, and return the names of the files that are not as they were written."""
        return [name for _, name in blocks.damaged(self._place, self._layout, sorted(self._made))]

    def drop_damaged(self) -> list[str]:
        """Forget blocks with a damaged file, so that the same `lens.capture` makes them anew.

        Returns
        -------
        list of str
            The damaged files.
        """
        from lens.store.lock import writing_to

        with writing_to(self._place):
            found = list(blocks.damaged(self._place, self._layout, sorted(self._made)))
            for block in {block for block, _ in found}:
                self._place.remove(blocks.record_name(block))
        self._made = frozenset(blocks.recorded(self._place, self._layout))
        for known in ("skipped", "valid", "text_positions"):
            self.__dict__.pop(known, None)
        return [name for _, name in found]

    @property
    def group(self) -> zarr.Group:
        """The store as plain zarr opens it, which needs Python 3.11."""
        import zarr

        return zarr.open_group(self._place.address, mode="r")

    def export(self, site: str | Site, path: str | Path) -> None:
        """Write one site as ``.parquet``, ``.npy`` or ``.safetensors``; see `lens.store.export`."""
        from lens.store.export import export

        export(self, self._name(site), Path(path))

    # -- how it looks ----------------------------------------------------------------------

    def _name(self, site: str | Site | None) -> str:
        if site is None:
            if len(self.sites) == 1:
                return next(iter(self.sites))
            raise UnknownSite(f"Which site? There are: {', '.join(self.sites)}.")
        name = site if isinstance(site, str) else site.name
        if name in self.sites:
            return name
        for kept in self.sites.values():  # another name of the same place
            if not isinstance(site, str) and (kept.path, kept.at) == (site.path, site.at):
                return kept.name
            if name in kept.aliases or (kept.at == "output" and kept.path == name):
                return kept.name
        raise UnknownSite(f"{self.path} has nothing of {name!r}.{suggestion(name, self.sites)}")

    def _title(self) -> str:
        settings, count = self.manifest.settings, f"{self.manifest.count:,} inputs"
        done = "" if self.finished else f", {self.rows_done:,} of them done"
        how = settings["reduce"] + (", uint8" if settings["quantize"] else "")
        return f"Store {self.path} of {self.manifest.model} on {count}{done} ({how})"

    def _shapes(self) -> list[tuple[str, str]]:
        return [
            (name, " x ".join(map(str, self._layout.parts[name].values.shape)))
            for name in self.sites
        ]

    def __repr__(self) -> str:
        return "\n".join([self._title(), *(f"  {n}  {shape}" for n, shape in self._shapes())])

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._shapes()
        )
        return (
            f"<table><caption>{html.escape(self._title())}</caption>"
            f"<thead><tr><th>site</th><th>shape</th></tr></thead><tbody>{body}</tbody></table>"
        )
