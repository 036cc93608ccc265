"""What `lens.attention` returns: layers of patterns, and how they are listed."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from lens.capture.rollout import rollout
from lens.errors import BadInput, UnknownSite, suggestion
from lens.sites import Batch, TowerName

if TYPE_CHECKING:
    from lens.model import Model

__all__ = ["AttentionLayer", "AttentionMaps"]


@dataclass(frozen=True, repr=False)
class AttentionLayer:
    """One attention layer: exact patterns, and what they were computed from.

    Attributes
    ----------
    name, path
        What it is called, ``"image.blocks.3.attention"``, and the module's own dotted path.
    tower
        "image" or "text".
    grid, n_prefix
        Of an image tower's keys: rows and columns of places, and tokens before them (class,
        registers); None where keys have no places.
    pattern
        (n, heads, queries, keys) float32: rows sum to one.
    q, k, v
        (n, heads, tokens, width of a head), as they enter the product: after rotary positions and
        norms.
    heads
        (n, heads, queries, width of a head): what each head gives.
    """

    name: str
    path: str
    tower: TowerName
    grid: tuple[int, int] | None
    n_prefix: int
    pattern: Float[np.ndarray, "n heads queries keys"]
    q: Float[np.ndarray, "n heads queries width"]
    k: Float[np.ndarray, "n heads keys width"]
    v: Float[np.ndarray, "n heads keys value"]
    heads: Float[np.ndarray, "n heads queries value"]

    def map(
        self, head: int | None = None, query: int = 0, row: int = 0
    ) -> Float[np.ndarray, "rows columns"]:
        """Where in the picture one query looks.

        Parameters
        ----------
        head
            Which; None for the mean over heads.
        query
            Which token asks; 0 is the class token, or what pools, where there is one.
        row
            Which input.

        Raises
        ------
        BadInput
            If the keys are not places of a picture, or there is no such head, query or input.
        """
        if self.grid is None:
            raise BadInput(f"The keys of {self.name} are no places of a picture.")
        n, heads, queries, _ = self.pattern.shape
        for what, index, count in (
            ("input", row, n),
            ("head", head, heads),
            ("query", query, queries),
        ):
            if index is not None and not -count <= index < count:
                raise BadInput(f"{self.name} has {count} of {what}, 0 to {count - 1}, not {index}.")
        looked = self.pattern[row, :, query]
        chosen = looked.mean(0) if head is None else looked[head]
        return chosen[self.n_prefix :].reshape(self.grid)

    @property
    def entropy(self) -> Float[np.ndarray, "n heads"]:
        """How widely each head looks: mean entropy of its rows, in nats."""
        p = self.pattern
        return -(p * np.log(np.where(p > 0, p, 1))).sum(-1).mean(-1)

    def __repr__(self) -> str:
        n, heads, queries, keys = self.pattern.shape
        return f"{self.name}: {n} inputs, {heads} heads, {queries} queries x {keys} keys"


class AttentionMaps(Mapping[str, AttentionLayer]):
    """The attention layers of a model on some inputs, by name, in the order in which they ran.

    Attributes
    ----------
    model : str
        The model's name.
    of : Model or None
        The model itself; it stays behind where the maps are pickled.
    inputs : mapping
        What each tower read: preprocessed pictures, token numbers.
    texts : list of str
        The texts as they were given.
    """

    def __init__(
        self,
        model: str,
        layers: list[AttentionLayer],
        *,
        of: Model | None = None,
        inputs: Mapping[TowerName, Batch] | None = None,
        texts: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.of = of
        self.inputs = dict(inputs or {})
        self.texts = list(texts)
        self._layers = {layer.name: layer for layer in layers}
        self._shown: Any = None

    def tower(self, name: TowerName) -> list[AttentionLayer]:
        """Return the layers of one tower, first to last."""
        return [layer for layer in self._layers.values() if layer.tower == name]

    def rollout(self, tower: TowerName = "image") -> Float[np.ndarray, "n queries keys"]:
        """Follow attention through all layers of a tower: `lens.capture.rollout.rollout`.

        Raises
        ------
        BadInput
            If the tower has no attention, or its layers look at windows or at another tower.
        """
        return rollout([layer.pattern for layer in self.tower(tower)])

    def explore(self, **settings: Any) -> Any:
        """Open the attention explorer; `lens.widgets.attention.explore` says what it takes."""
        # By name: what is shown stands above what is computed, and loads when somebody looks.
        return import_module("lens.widgets.attention").explore(self, **settings)

    def figure(self, **settings: Any) -> Any:
        """Draw every head as a report figure; `lens.figures.attention_sheet` says what it takes."""
        return import_module("lens.figures").attention_sheet(self, **settings)

    def save(self, path: str | Path) -> Path:
        """Write the maps: .svg, .pdf or .png for a report, .html for the explorer.

        Raises
        ------
        BadInput
            Where the name ends in none of these.
        """
        return Path(self.explore().save(path))

    def __getitem__(self, name: str) -> AttentionLayer:
        if name not in self._layers:
            raise UnknownSite(f"No attention of {name!r} here.{suggestion(name, self._layers)}")
        return self._layers[name]

    def __contains__(self, name: object) -> bool:
        return name in self._layers

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        rows = []
        for layer in self._layers.values():
            _, heads, queries, keys = layer.pattern.shape
            wide = layer.entropy.mean(0)
            told = f"{wide.min():.2f} ... {wide.max():.2f}"
            rows.append((layer.name, str(heads), f"{queries} x {keys}", told))
        return rows

    def __repr__(self) -> str:
        width = max(map(len, self._layers), default=0)
        lines = [f"Attention of {self.model}: {len(self)} layers"]
        lines += [
            f"  {name:<{width}}  {heads:>3} heads  {size:>12}  entropy {wide}"
            for name, heads, size, wide in self._rows()
        ]
        return "\n".join(lines)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Show the explorer, with the table where no widget can be."""
        if self._shown is None:
            self._shown = self.explore()
        data, metadata = self._shown._repr_mimebundle_(**kwargs)
        return {**data, "text/html": self._repr_html_(), "text/plain": repr(self)}, metadata

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "of": None, "_shown": None}

    def _repr_html_(self) -> str:
        names = ("layer", "heads", "queries x keys", "entropy of the heads, nats")
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        title = html.escape(f"Attention of {self.model}")
        return (
            f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )
