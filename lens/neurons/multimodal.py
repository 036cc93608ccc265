"""Units that answer to one concept whatever its rendering, as a tested statistic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from lens.errors import BadInput, nearest
from lens.neurons import statistics
from lens.neurons.cells import Cells, sort_out

if TYPE_CHECKING:
    from lens.model import Model
    from lens.neurons.responses import Responses
    from lens.precision import Precision
    from lens.sites import Site

Correction = Literal["bh", "adafilter"]

# Units compared at once: bounds the memory for sorted copies, whatever the number of units.
BLOCK = 128

_tables: WeakKeyDictionary[Responses, dict[str, pd.DataFrame]] = WeakKeyDictionary()


def multimodal(
    model_or_array: Model | Any,
    site: Site | str | None = None,
    stimuli: Any = None,
    *,
    table: pd.DataFrame | None = None,
    correction: Correction = "bh",
    pool: Literal["mean", "cls", "max"] | None = None,
    precision: Precision = "auto",
    batch_size: int = 64,
    progress: bool = True,
) -> pd.DataFrame:
    """Find the units that answer to the same concept in every rendering.

    For unit k, concept c and rendering m, A_kcm is the AUROC of the concept's stimuli against those
    of the *other concepts in the same rendering*, so that a detector of pictures, or of any text,
    scores 0.5. **MM_kc = min over m of A_kcm**: the unit is as multimodal as its weakest rendering.
    Each unit's concept is the one with the largest MM on the discovery half of the stimuli; what is
    reported is all measured on the held-out half.

    p is the largest over renderings of the one-sided Mann-Whitney p (intersection-union: it tests
    "in at least one rendering no more than chance"), exact for up to eight stimuli of a concept and
    normal for more. q controls the false-discovery rate over the
    family of *all pairs of a unit with a candidate concept* on the held-out half, chosen or not:
    units x concepts tests, 400,000 for 1,000 units and 400 concepts.

    Parameters
    ----------
    model_or_array
        A model; or what `lens.capture` made of the stimuli, in memory or a store; or an array of
        unit values (stimuli, units).
    site
        Where in the model: a `Site` or its name; the last stage of the image tower if not given.
        The values are those before the final ReLU, where there is one (and where the activations
        have them). Of activations, the only site if not given.
    stimuli
        A `lens.data` stimulus set; if not given, the embedded glyphs: twelve of every concept
        in every rendering, of which six are held out.
    table
        For an array: a row a stimulus, with columns ``concept``, ``rendering``, and, where there
        are any, ``split`` ("discovery" or "held-out"; else each cell is dealt out in turn) and
        ``writing`` (True where the concept's picture contains writing: no candidate).
    correction
        "bh": Benjamini-Hochberg on p. "adafilter": AdaFilter-BH (Wang et al. 2022), which finds
        more with few stimuli; it takes the renderings' p to be independent.
    pool
        How positions become one value a unit; see `lens.neurons.responses.responses`.
    precision
        The model's arithmetic; see `lens.neurons.responses.responses`.
    batch_size
        Stimuli a forward pass.
    progress
        Show a progress bar for the model's pass over the stimuli.

    Returns
    -------
    pd.DataFrame
        One row a unit, best first:

        - ``unit`` and its ``concept``;
        - ``score``: MM, in [0, 1]; ``p``; ``q``;
        - ``n``: held-out stimuli of the concept in the smallest rendering;
        - ``d_prime``: distance from the other concepts in standard deviations, in the rendering
          where it is smallest;
        - ``gap``: word-minus-picture gap, d' of the rendering "word" minus the mean d' of the other
          ones; positive for a unit that reads more than it sees, NaN without a "word" rendering;
        - ``auroc_<rendering>`` each.

        ``.attrs`` has the number of ``tests`` in the family, the ``correction``, the number of
        candidate ``concepts`` and of those ``left_out`` because their picture contains writing.

    Raises
    ------
    BadInput
        For a table that does not fit the array, values that are not finite, one rendering only, or
        too few stimuli of a concept in a rendering.
    UnknownSite
        For a site that the model does not have.

    References
    ----------
    Goh et al. 2021, "Multimodal Neurons in Artificial Neural Networks", for the idea; Wang et al.
    2022, "Detecting multiple replicating signals using adaptive filtering procedures".
    """
    if correction not in ("bh", "adafilter"):
        close = nearest(str(correction), ["bh", "adafilter"], 1) or ["bh"]
        raise BadInput(f"Unknown correction {correction!r}; did you mean {close[0]!r}?")
    if isinstance(site, pd.DataFrame):  # multimodal(array, table) reads naturally too
        site, table = None, site
    if hasattr(model_or_array, "values_of"):  # activations, in memory or on disk
        from lens.neurons.captured import captured_values

        given = default_table(stimuli) if table is None else table
        kept, of_kept, name = captured_values(model_or_array, site, stimuli, given, pool)
        scored = score_units(kept, of_kept, correction)
        scored.attrs |= {"site": name}
        return scored
    if _is_array(model_or_array):
        if table is None:
            raise BadInput("With an array, `table` has to say which stimulus each row is.")
        return score_units(_as_array(model_or_array), table, correction)

    from lens.neurons.responses import default_site, responses

    if site is None:
        site = default_site(model_or_array)
    elif isinstance(site, str):
        site = model_or_array.site(site)
    measured = responses(
        cast("Site", site),
        stimuli,
        pool=pool,
        precision=precision,
        batch_size=batch_size,
        progress=progress,
    )
    return table_of(measured, correction).copy()


def default_table(stimuli: Any) -> pd.DataFrame:
    """Give the table of stimuli, of the embedded ones if there are none.

    Raises
    ------
    BadInput
        For stimuli without a table.
    """
    if stimuli is None:
        from lens.neurons.responses import default_stimuli

        stimuli = default_stimuli()
    table = getattr(stimuli, "table", None)
    if not isinstance(table, pd.DataFrame):
        raise BadInput(
            "Activations need the stimuli that they were captured on, with a `.table` of concept "
            "and rendering, or that table itself: table=..."
        )
    return table


def table_of(measured: Responses, correction: Correction = "bh") -> pd.DataFrame:
    """Score what was measured at a site; computed once for the same responses."""
    known = _tables.setdefault(measured, {})
    if correction not in known:
        known[correction] = score_units(measured.values, measured.table, correction)
        known[correction].attrs |= {"model": measured.site.model.name, "site": measured.site.name}
    return known[correction]


def score_units(
    values: np.ndarray, table: pd.DataFrame, correction: Correction = "bh"
) -> pd.DataFrame:
    """Score an array (stimuli, units) against its table; see `multimodal`."""
    if values.ndim != 2 or values.shape[1] == 0 or values.dtype.kind not in "fiub":
        raise BadInput(
            f"Unit values have to be numbers of shape (stimuli, units); these are {values.dtype} "
            f"of shape {values.shape}."
        )
    if len(values) != len(table):
        raise BadInput(
            f"The array has {len(values)} rows and the table {len(table)}; both have a row a "
            f"stimulus."
        )
    cells = sort_out(table)
    blocks = [_score_block(block, cells) for block in _blocks(values)]
    chosen, area, d_prime, p = (np.concatenate(part) for part in zip(*blocks, strict=True))

    q = (
        statistics.adafilter_bh(p)
        if correction == "adafilter"
        else statistics.benjamini_hochberg(p.max(axis=2))
    )
    unit = np.arange(len(chosen))
    columns = {
        "unit": unit,
        "concept": cells.concepts[chosen],
        "score": area.min(axis=1),
        "p": p.max(axis=2)[unit, chosen],
        "q": q[unit, chosen],
        "n": cells.n[chosen],
        "d_prime": d_prime.min(axis=1),
        "gap": _word_minus_picture(d_prime, cells.renderings),
    }
    for column, rendering in zip(area.T, cells.renderings, strict=True):
        columns[f"auroc_{rendering}"] = column
    ranked = pd.DataFrame(columns).sort_values(
        ["score", "q", "d_prime", "unit"], ascending=[False, True, False, True], ignore_index=True
    )
    ranked.attrs = {
        "tests": q.size,
        "correction": correction,
        "concepts": len(cells.concepts),
        "left_out": cells.left_out,
    }
    return ranked


def _score_block(
    values: np.ndarray, cells: Cells
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Choose a block's concepts on discovery; measure them on held-out stimuli.

    Returns
    -------
    chosen (units,), area and d_prime (units, renderings) of the chosen concept, and p of every pair
    (units, concepts, renderings).
    """
    found = [statistics.auroc(values[cell.rows], cell.positives) for cell in cells.discovery]
    chosen = np.min(found, axis=0).argmax(axis=1)

    held_out = [statistics.compare(values[cell.rows], cell.positives) for cell in cells.held_out]
    unit = np.arange(len(chosen))
    area = np.stack([each.auroc[unit, chosen] for each in held_out], axis=1)
    d_prime = np.stack([each.d_prime[unit, chosen] for each in held_out], axis=1)
    return chosen, area, d_prime, np.stack([each.p for each in held_out], axis=2)


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    """Give the values of some units at a time, checked."""
    for start in range(0, values.shape[1], BLOCK):
        block = values[:, start : start + BLOCK]
        finite = np.isfinite(block)
        if not finite.all():
            row, unit = np.argwhere(~finite)[0]
            raise BadInput(
                f"Unit {start + unit} has the value {block[row, unit]} for stimulus {row}; "
                f"all values have to be finite."
            )
        yield block


def _word_minus_picture(d_prime: np.ndarray, renderings: list[str]) -> np.ndarray:
    if "word" not in renderings:
        return np.full(len(d_prime), np.nan)
    word = renderings.index("word")
    return d_prime[:, word] - np.delete(d_prime, word, axis=1).mean(axis=1)


def _is_array(value: Any) -> bool:
    """Tell arrays, tensors, frames and lists from a model, without importing torch."""
    return isinstance(value, np.ndarray | pd.DataFrame | list) or hasattr(value, "detach")


def _as_array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
    return np.asarray(value)
