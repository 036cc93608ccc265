"""Every named place of a model, as a table that is called with a glob."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lens.errors import UnknownSite, suggestion
from lens.sites import Site

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SiteTable"]


class SiteTable(Sequence[Site]):
    """Every named place of a model; call it with a glob to choose some.

    Parameters
    ----------
    sites : sequence of Site
        The named places, in the order of the forward pass.
    resolve : callable
        Returns the site of any name, the module's own paths included.
    own_paths : callable
        Returns the model's own dotted paths that can be looked at.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        resolve: Callable[[str], Site],
        own_paths: Callable[[], list[str]],
    ) -> None:
        self._sites = list(sites)
        self._resolve = resolve
        self._own_paths = own_paths

    @property
    def names(self) -> list[str]:
        """The friendly names."""
        return [site.name for site in self._sites]

    @property
    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame: name, tower, kind, layout, units, shape."""
        import pandas as pd

        rows = [(s.name, s.tower, s.kind, s.layout, s.n_units, s.shape) for s in self._sites]
        return pd.DataFrame(rows, columns=["name", "tower", "kind", "layout", "units", "shape"])

    def __call__(
        self, which: str | Site | Iterable[str | Site] | Callable[[Site], bool] | None = None
    ) -> list[Site]:
        """Return the sites asked for, in the order of the forward pass for a glob.

        Parameters
        ----------
        which : str, Site, iterable of these, predicate or None
            A name; a glob over the names, where ``*`` also crosses dots (if no friendly name
            fits, the module's own paths are tried), which finds attention only where it says so
            (``image.blocks.*.attention.*``, ``*.pattern``); a function of a site; None for all.

        Raises
        ------
        UnknownSite
            If nothing has that name.
        """
        if which is None:
            return list(self._sites)
        if isinstance(which, Site):
            return [which]
        if isinstance(which, str):
            return self._named(which)
        if callable(which):
            return [site for site in self._sites if which(site)]
        chosen = [site for part in which for site in self(part)]
        return list({site.name: site for site in chosen}.values())

    def _named(self, name: str) -> list[Site]:
        if not any(mark in name for mark in "*?["):
            return [self._resolve(name)]
        found = [s for s in self._sites if fnmatchcase(s.name, name) and _meant(s, name)]
        if not found:
            found = [self._resolve(p) for p in self._own_paths() if fnmatchcase(p, name)]
        if not found:
            raise UnknownSite(f"No site is called like {name!r}.{suggestion(name, self.names)}")
        return found

    def __getitem__(self, index: Any) -> Any:
        return self._resolve(index) if isinstance(index, str) else self._sites[index]

    def __contains__(self, name: object) -> bool:
        return any(site is name or name in (site, site.name) for site in self._sites)

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    def __repr__(self) -> str:
        return self.frame.to_string(index=False, max_rows=80)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{column}</th>" for column in self.frame.columns)
        rows = (
            "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row)
            for row in self.frame.itertuples(index=False)
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _meant(site: Site, glob: str) -> bool:
    """Tell whether a glob that fits a site is to find it; attention is large: it has to be said."""
    if site.kind != "attention":
        return True
    layer, part = site.name.split(".")[-2:]
    return any(layer in word or part == word for word in glob.split("."))
