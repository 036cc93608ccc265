"""Labels given to points by hand: kept in order, undone, saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from lens.errors import BadInput, MissingOption, suggestion

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Given", "Labels", "write_table"]

LONGEST = 200


@dataclass(frozen=True, eq=False)
class Given:
    """One label that was given at once to some points.

    Attributes
    ----------
    label : str
    points : ndarray
        (m,) int64, in order, each once.
    """

    label: str
    points: Int[np.ndarray, " m"]


class Labels:
    """What points of a map were called; a point may have several labels.

    Parameters
    ----------
    ids : sequence of str
        What the points are.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._done: list[Given] = []
        self._undone: list[Given] = []
        self._hear: list[Callable[[], None]] = []

    @property
    def given(self) -> list[Given]:
        """Each time that a label was given, in order."""
        return list(self._done)

    @property
    def names(self) -> list[str]:
        """The labels, in the order in which they were first given."""
        return list(dict.fromkeys(one.label for one in self._done))

    def add(self, label: str, points: Iterable[int]) -> Given:
        """Give a label to some points.

        Raises
        ------
        BadInput
            For an empty label, no points, or a point that is not on the map.
        """
        label = str(label).strip()
        if not label or len(label) > LONGEST:
            raise BadInput(f"A label has 1 to {LONGEST} characters; this one has {len(label)}.")
        rows = np.unique(np.fromiter(points, np.int64))
        if not len(rows):
            raise BadInput(f"No points were chosen to be called {label!r}.")
        if rows[0] < 0 or rows[-1] >= len(self._ids):
            wrong = int(rows[0] if rows[0] < 0 else rows[-1])
            raise BadInput(f"The map has the points 0 to {len(self._ids) - 1}, not {wrong}.")
        self._done.append(Given(label, rows))
        self._undone.clear()
        self._tell()
        return self._done[-1]

    def undo(self) -> Given | None:
        """Take the last label back; None where there is none."""
        return self._move(self._done, self._undone)

    def redo(self) -> Given | None:
        """Give again what was taken back last; None where there is nothing."""
        return self._move(self._undone, self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a label to give again."""
        return bool(self._undone)

    def points(self, label: str) -> Int[np.ndarray, " m"]:
        """Return the points that have a label, in order.

        Raises
        ------
        BadInput
            If no point has it, with the nearest labels.
        """
        own = [one.points for one in self._done if one.label == label]
        if not own:
            raise BadInput(f"No point is called {label!r}.{suggestion(label, self.names)}")
        return np.unique(np.concatenate(own))

    @property
    def table(self) -> pd.DataFrame:
        """``point, id, label``, a row for each label of each point, in order of the points."""
        import pandas as pd

        rows = [(int(i), label) for label in self.names for i in self.points(label)]
        rows.sort(key=lambda row: row[0])
        return pd.DataFrame(
            [(i, self._ids[i], label) for i, label in rows], columns=["point", "id", "label"]
        )

    def save(self, path: str | Path) -> Path:
        """Write `table` as ``.csv`` or ``.parquet``."""
        return write_table(self.table, Path(path))

    def load(self, path: str | Path) -> None:
        """Give the labels of a file again; points are found by their id.

        Raises
        ------
        BadInput
            If the file has no columns ``id`` and ``label``, or an id that is not on the map; no
            label is given then.
        """
        import pandas as pd

        path = Path(path)
        if not path.is_file():
            raise BadInput(f"There is no file {str(path)!r}.")
        if path.suffix.lower() == ".parquet":
            found = pd.read_parquet(path)
        else:
            found = pd.read_csv(path, dtype=str, keep_default_na=False)
        if not {"id", "label"} <= set(found):
            raise BadInput(f"{path.name} needs the columns id and label; it has {list(found)}.")
        where = {name: i for i, name in enumerate(self._ids)}
        missing = [name for name in found["id"].astype(str) if name not in where]
        if missing:
            raise BadInput(
                f"{path.name} labels {missing[0]!r}, which is not on this map"
                + (f", and {len(missing) - 1} others." if len(missing) > 1 else ".")
            )
        for label, rows in found.groupby("label", sort=False):
            self.add(str(label), (where[str(name)] for name in rows["id"]))

    def on_change(self, act: Callable[[], None]) -> None:
        """Call `act` whenever a label is given or taken back."""
        self._hear.append(act)

    def _move(self, here: list[Given], there: list[Given]) -> Given | None:
        if not here:
            return None
        there.append(here.pop())
        self._tell()
        return there[-1]

    def _tell(self) -> None:
        for act in self._hear:
            act()

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        if not self._done:
            return "Labels: none given yet"
        told = ", ".join(f"{label} ({len(self.points(label)):,})" for label in self.names)
        return f"Labels: {told}"


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as ``.csv`` or ``.parquet``; missing folders are made.

    Raises
    ------
    BadInput
        For another kind of file.
    MissingOption
        If Parquet cannot be written here.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise BadInput(f"A table is saved as .csv or .parquet, not as {path.name!r}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".csv":
        table.to_csv(path, index=False)
        return path
    try:
        mixed = {name: str for name in table if table[name].dtype.kind == "O"}
        table.astype(mixed).to_parquet(path, index=False)
    except ImportError as error:
        raise MissingOption("Saving .parquet needs pyarrow: pip install pyarrow.") from error
    return path
