"""What a model computed on some inputs, by site."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float, Int

from lens.errors import BadInput, UnknownSite, suggestion
from lens.sites import Site, unit_values

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Activations", "Pool"]

Pool = Literal["mean", "max", "cls", "eot"]


class Activations(Mapping[str, np.ndarray]):
    """A mapping from site names to float32 arrays, one row an input.

    Attributes
    ----------
    sites : dict of str to Site
        Where each array was taken.
    inputs : list of str
        What each row is: a file, a text, or a number.
    skipped : list of (str, str)
        Inputs that could not be read, and why.
    text_positions : ndarray or None
        For texts, the token that each is read at: (n,).
    """

    def __init__(
        self,
        arrays: Mapping[str, Float[np.ndarray, "n ..."]],
        sites: Sequence[Site],
        inputs: Sequence[str],
        skipped: Sequence[tuple[str, str]] = (),
        text_positions: Int[np.ndarray, " n"] | None = None,
    ) -> None:
        self._arrays = dict(arrays)
        self.sites = {site.name: site for site in sites}
        self.inputs = list(inputs)
        self.skipped = list(skipped)
        self.text_positions = text_positions

    def __getitem__(self, site: str | Site) -> Float[np.ndarray, "n ..."]:
        name = self._name(site)
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, site: object) -> bool:
        return (site.name if isinstance(site, Site) else site) in self._arrays

    def values_of(
        self, site: str | Site | None = None, pool: Pool | None = None
    ) -> Float[np.ndarray, "n units"]:
        """Return one number a unit for each input.

        Parameters
        ----------
        site : str or Site, optional
            Which; may be left out where there is one.
        pool : {"mean", "max", "cls", "eot"}, optional
            How the places of a site become one number; "mean" by default for pictures, for
            texts "eot", the token that the text is read at.

        Raises
        ------
        BadInput
            If the site has nothing of the kind to pool.
        """
        name = self._name(site)
        array, where = self._arrays[name], self.sites[name]
        if array.ndim == 2:
            return array
        if array.ndim - 1 != len(where.shape):
            raise BadInput(f"{name} was reduced to the shape {array.shape[1:]}; it has no units.")
        if where.layout == "TBD":  # kept batch first
            where = replace(where, layout="BTD")
        pool = pool or ("eot" if where.tower == "text" else "mean")
        tensor = torch.from_numpy(array)
        if pool != "eot":
            return unit_values(where, tensor, pool).numpy()
        if self.text_positions is None:
            raise BadInput(f"{name} has no end-of-text token; use 'mean', 'max' or 'cls'.")
        position = torch.from_numpy(self.text_positions)
        return unit_values(where, tensor, position=position).numpy()

    def frame(self, site: str | Site | None = None, pool: Pool | None = None) -> pd.DataFrame:
        """Return one number a unit for each input, as a table: inputs down, units across.

        Parameters and errors are those of `values_of`.
        """
        import pandas as pd

        values = self.values_of(site, pool)
        units = pd.RangeIndex(values.shape[1], name="unit")
        return pd.DataFrame(values, index=pd.Index(self.inputs, name="input"), columns=units)

    def _name(self, site: str | Site | None) -> str:
        if site is None:
            if len(self._arrays) == 1:
                return next(iter(self._arrays))
            raise UnknownSite(f"Which site? There are: {', '.join(self._arrays)}.")
        name = site.name if isinstance(site, Site) else site
        if name in self._arrays:
            return name
        # Another name of a place that is here: `image.layer4.pre_relu`, or a module's own path.
        model = next(iter(self.sites.values())).model
        if model.has_site(name):
            place = model.site(name)
            for kept in self.sites.values():
                if kept == place:
                    return kept.name
        raise UnknownSite(f"No activations of {name!r} here.{suggestion(name, self._arrays)}")

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [
            (name, " x ".join(map(str, a.shape)), f"{a.min():.3g} ... {a.max():.3g}",
             f"{a.nbytes / 1e6:.1f} MB")
            for name, a in self._arrays.items()
        ]  # fmt: skip

    def _title(self) -> str:
        model = next(iter(self.sites.values())).model.name if self.sites else "no model"
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"Activations of {model} on {len(self.inputs)} inputs{skipped}"

    def __repr__(self) -> str:
        width = max((len(name) for name in self._arrays), default=0)
        return "\n".join(
            [self._title()]
            + [f"  {n:<{width}}  {shape}  {span}  {size}" for n, shape, span, size in self._rows()]
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{word}</th>" for word in ("site", "shape", "values", "size"))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        return (
            f"<table><caption>{html.escape(self._title())}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
