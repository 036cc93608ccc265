"""A map of many vectors: where each lies, how far that can be trusted, and what lies near."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from lens.errors import BadInput, suggestion
from lens.projection.asking import Asked
from lens.projection.clusters import cluster_table, found_clusters
from lens.projection.colouring import Colouring, categories, clearest, colouring
from lens.projection.gathering import Gathered
from lens.projection.labelled import Labelled
from lens.projection.labelling import Labels
from lens.projection.methods import Fitted
from lens.projection.points import Space
from lens.projection.quality import Quality
from lens.sites import Unit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Projection"]


class Projection:
    """A map of vectors, made by `lens.project`.

    Attributes
    ----------
    coordinates : ndarray
        (n, 2) float32.
    points : Points
        What the points are: ``.vectors``, ``.ids``, ``.kinds``, ``.columns``, ``.left_out``.
    method, metric : str
        How the map was made, and how nearness is measured.
    quality : Quality or None
        How far the map can be trusted; None for fewer than four points.
    labels : Labels
        Labels given by hand: `add`, `undo`, `redo`, `save`, `load`, `table`.
    settings : dict
        What the method was given; the same settings and seed make the same map.
    notes : list of str
        What to know about it.
    """

    def __init__(
        self,
        gathered: Gathered,
        fitted: Fitted,
        space: Space,
        quality: Quality | None,
        seed: int,
        vocabulary: Sequence[str] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.points = gathered.points
        self.coordinates = fitted.placed
        self.method, self.metric = fitted.method, space.metric
        self.quality, self.seed = quality, seed
        self.settings = {**fitted.settings, "seed": seed}
        self.notes = list(notes)
        self.labels = Labels(self.points.ids)
        self.model = gathered.model
        self._fitted, self.space = fitted, space
        self._asked = Asked(gathered, space, vocabulary)
        self._clusters: tuple[np.ndarray, pd.DataFrame] | None = None
        self._view: Any = None

    def __len__(self) -> int:
        return len(self.points)

    # -- what lies where -------------------------------------------------------------------

    @property
    def table(self) -> pd.DataFrame:
        """A row a point: ``id, kind, x, y``, its columns, ``cluster``, ``preserved``, ``labels``.

        ``preserved`` is the share of the point's neighbours that the map kept; ``labels`` are those
        given by hand, joined by "; ".
        """
        import pandas as pd

        own = pd.DataFrame({"id": self.points.ids, "kind": self.points.kinds})
        own["x"], own["y"] = self.coordinates[:, 0], self.coordinates[:, 1]
        taken = {*own, "cluster", "cluster_name", "preserved", "labels"}
        for name in self.points.columns:
            free = name if name not in taken else f"{name}_given"
            own[free] = self.points.columns[name].to_numpy()
        own["cluster"], own["cluster_name"] = self.cluster_numbers, self._cluster_names()
        own["preserved"] = self.preserved
        own["labels"] = self._labels_of_points()
        return own

    def transform(self, more: Any) -> Float[np.ndarray, "m 2"]:
        """Put more points onto the map: exactly by PCA, by the fitted model of UMAP and t-SNE.

        Parameters
        ----------
        more
            Vectors (m, dim) like those of the map; or pictures or texts for its model to embed.
        """
        vectors, kind = self._asked.vectors(more)
        return self._fitted.transform(self.space.of(vectors, kind))

    def neighbours(self, point: int, k: int = 10) -> pd.DataFrame:
        """Find the nearest points *in the original space*, whatever the map shows; exact.

        Returns
        -------
        pd.DataFrame
            ``point, id, kind, similarity`` (the cosine) or ``distance``, nearest first, and
            ``in_map``: how-manieth nearest it is on the map.
        """
        import pandas as pd

        n = len(self)
        if not -n <= point < n:
            raise BadInput(f"The map has the points 0 to {n - 1}, not {point}.")
        rows, values = self._asked.nearest(point % n, k)
        near = ((self.coordinates - self.coordinates[point]) ** 2).sum(axis=1)
        near[point % n] = -1
        return pd.DataFrame(
            {
                "point": rows,
                "id": [self.points.ids[i] for i in rows],
                "kind": self.points.kinds[rows],
                "similarity" if self.metric == "cosine" else "distance": values,
                "in_map": [int((near < near[i]).sum()) for i in rows],
            }
        )

    def search(self, query: Any, k: int = 10) -> pd.DataFrame:
        """Find the points that a text, a picture or a vector is nearest to.

        Parameters
        ----------
        query : str, picture or ndarray
            A str is a text.
        k : int
            How many.

        Returns
        -------
        pd.DataFrame
            ``point, id, kind, cosine, similarity``, best first; similarity is the cosine minus its
            mean over all points of the same kind, so that pictures and texts can be compared.

        Raises
        ------
        BadInput
            If the map is not in the joint space of a model that reads the query.
        """
        import pandas as pd

        if k < 1:
            raise BadInput(f"k, how many points to find, is at least 1, not {k}.")
        cosine, similarity = self._asked.similarity(query)
        rows = np.argsort(-similarity, kind="stable")[:k]
        return pd.DataFrame(
            {
                "point": rows,
                "id": [self.points.ids[i] for i in rows],
                "kind": self.points.kinds[rows],
                "cosine": cosine[rows],
                "similarity": similarity[rows],
            }
        )

    @property
    def reads(self) -> str:
        """Why texts cannot be compared with the points, in a sentence; "" where they can."""
        return self._asked.reads

    def vocabulary(self) -> tuple[list[str], Float[np.ndarray, "words dim"] | None]:
        """Give the words that things are named by, and their embeddings where there are any."""
        return self._asked.vocabulary()

    def over(self, query: Any) -> Float[np.ndarray, " n"]:
        """Give each point's cosine with anything that `search` takes, over the mean of its kind."""
        return self._asked.similarity(query)[1]

    # -- what the points can be coloured by --------------------------------------------------

    def phrase(self, text: str) -> Float[np.ndarray, " n"]:
        """Tell how far each point is "red": its cosine with the phrase, over the mean of its kind.

        Zero is the average point."""
        return self.over(text)

    def activation(self, unit: Unit | str) -> Float[np.ndarray, " n"]:
        """Return one unit's value for each point; NaN for points that are no inputs.

        Parameters
        ----------
        unit : Unit or str
            Or its name, such as ``"image.layer4/17"``.
        """
        return self._asked.activation(unit)

    @property
    def colourings(self) -> list[str]:
        """What `colour` knows by name."""
        names = [*map(str, self.points.columns)]
        names += ["kind"] if len(set(self.points.kinds.tolist())) > 1 else []
        names += ["cluster"] if len(self) else []
        names += ["neighbours kept"] if self.quality is not None else []
        names += ["label given"] if len(self.labels) else []
        return list(dict.fromkeys([*names, *self._asked.units]))

    def colour(self, by: Any = None) -> Colouring:
        """Give what the colours of the map stand for.

        Parameters
        ----------
        by : str, Unit, array or None
            One of `colourings`; a unit or its name, for its activation; a phrase in quotes or after
            "how ", such as ``"how red"``; one value a point; None for the clearest column.

        Raises
        ------
        BadInput
            If there is nothing of that name, with the nearest ones.
        """
        if by is None:
            by = clearest(self.points.columns) or next(iter(self.colourings), "kind")
        if isinstance(by, Unit):
            return colouring(f"{by.site.name}/{by.index}", self.activation(by))
        if not isinstance(by, str):
            values = np.asarray(by)
            if values.shape != (len(self),):
                raise BadInput(f"{len(self):,} points cannot have {values.size:,} colours.")
            return colouring(str(getattr(by, "name", None) or "value"), values)
        if by in self.points.columns:
            return colouring(by, self.points.columns[by])
        named = {
            "kind": lambda: categories(by, self.points.kinds),
            "cluster": lambda: categories(by, self._cluster_names()),
            "neighbours kept": lambda: colouring(by, self.preserved),
            "label given": lambda: categories(by, self._labels_of_points()),
        }
        if by in named:
            return named[by]()
        quoted = by[1:-1] if len(by) > 2 and by[0] == by[-1] == '"' else None
        phrase = quoted or (by[4:].rstrip("?") if by.startswith("how ") else None)
        if phrase:
            return colouring(f"how {phrase}?", self.phrase(phrase))
        if "/" in by:
            return colouring(by, self.activation(by))
        raise BadInput(
            f"There is nothing called {by!r} to colour by.{suggestion(by, self.colourings)} "
            f"A phrase stands in quotes: '\"{by}\"'."
        )

    # -- clusters ----------------------------------------------------------------------------

    @property
    def clusters(self) -> pd.DataFrame:
        """One row a cluster: ``cluster, name, words, n, share, most_common, share_of_it, x, y``.

        Found in the map by HDBSCAN, named by words of the vocabulary; see `cluster`.
        """
        return self._clustered()[1]

    @property
    def cluster_numbers(self) -> Int[np.ndarray, " n"]:
        """The number of each point's cluster, the largest first; -1 in none."""
        return self._clustered()[0]

    def cluster(
        self,
        on: str = "map",
        smallest: int | None = None,
        vocabulary: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Find clusters anew, and name them.

        Parameters
        ----------
        on : {"map", "vectors"}
            Where density is measured. What the map made up, its clusters show too.
        smallest : int, optional
            Points of the smallest cluster.
        vocabulary : sequence of str, optional
            Words to name them by; by default the labels of the points and the glyphs' concepts.

        Returns
        -------
        pd.DataFrame
            `clusters`. A cluster without words is named by its most common label, and else by its
            number.
        """
        if on not in ("map", "vectors"):
            raise BadInput(f"Clusters are found on 'map' or 'vectors', not {on!r}.")
        numbers = found_clusters(self.coordinates if on == "map" else self.space.rows, smallest)
        self._clusters = numbers, self.clusters_of(numbers, vocabulary)
        return self._clusters[1]

    def clusters_of(
        self, numbers: Int[np.ndarray, " n"], vocabulary: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Name groups that are known, such as clusters found elsewhere, as `cluster` does."""
        return cluster_table(
            numbers, self.points, self.coordinates, *self._asked.vocabulary(vocabulary)
        )

    # -- taking it home ----------------------------------------------------------------------

    def stimuli(self, label: str | None = None) -> Labelled:
        """Give the pictures that were labelled, as stimuli and facets take them.

        Parameters
        ----------
        label : str, optional
            Those of one label; of every label if not given.
        """
        names = self.labels.names if label is None else [label]
        chosen = [(int(i), name) for name in names for i in self.labels.points(name)]
        return Labelled(self.points, chosen)

    def figure(self, colour: Any = None) -> Any:
        """Give a plotly figure, coloured by what `colour` takes."""
        from lens.projection.figure import figure

        return figure(self, self.colour(colour))

    def view(self) -> Any:
        """Give the embedding map, the widget that shows this projection; the same every time."""
        if self._view is None:
            # The front end stands above this room; it is looked up when there is something to show.
            self._view = importlib.import_module("lens.widgets.map").EmbeddingMap(self)
        return self._view

    def save(self, path: str | Path, colour: Any = None) -> Path:
        """Write the map: interactive, as a figure, as a table, or as arrays.

        Parameters
        ----------
        path
            Ends in ``.html`` (one file that needs no kernel and no network), ``.svg``, ``.pdf``,
            ``.png``, ``.csv``, ``.parquet`` or ``.npz``. Missing folders are made.
        colour
            What a figure's colours show, as `colour` takes it.

        Raises
        ------
        BadInput
            For another kind of file.
        """
        from lens.projection.saving import save

        return save(self, Path(path), colour)

    # -- how it looks ------------------------------------------------------------------------

    @property
    def preserved(self) -> Float[np.ndarray, " n"]:
        """(n,) float32: the share of each point's neighbours that the map kept; NaN if unknown."""
        if self.quality is None:
            return np.full(len(self), np.nan, np.float32)
        return self.quality.preserved

    def _clustered(self) -> tuple[Int[np.ndarray, " n"], pd.DataFrame]:
        if self._clusters is None:
            self.cluster()
        assert self._clusters is not None
        return self._clusters

    def _cluster_names(self) -> list[str]:
        names = self.clusters["name"].tolist()
        return [names[c] if c >= 0 else "" for c in self.cluster_numbers]

    def _labels_of_points(self) -> list[str]:
        own: list[list[str]] = [[] for _ in range(len(self))]
        for name in self.labels.names:
            for i in self.labels.points(name):
                own[i].append(name)
        return ["; ".join(names) for names in own]

    def __repr__(self) -> str:
        kinds, counts = np.unique(self.points.kinds, return_counts=True)
        told = " and ".join(
            f"{count:,} {kind}{'s' if count != 1 else ''}"
            for kind, count in zip(kinds, counts, strict=True)
        )
        dim = self.points.vectors.shape[1]
        lines = [
            f"Projection of {told or 'no points'} by {self.method.upper()}, from {dim} numbers"
        ]
        lines += [f"  {self.quality}"] if self.quality is not None else []
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.view()._repr_mimebundle_(**options)
