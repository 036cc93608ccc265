"""How good a unit's picture is, for the line below it: a percentile, and another model's answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lens.errors import LensError

if TYPE_CHECKING:
    from lens.featurevis import Visualization
    from lens.neurons.responses import Responses

#: What is said of every image of a visualization; None where nothing can be.
Judge = Callable[["Visualization"], list[dict[str, Any] | None]]


def judging(measured: Responses) -> Judge:
    """Give the function that judges images made for units of a site.

    Parameters
    ----------
    measured
        What the units of the site answer to the page's stimuli: the scale.
    """

    @cache
    def ask() -> Any:
        from lens.featurevis.judged.quality import default_other
        from lens.featurevis.judged.second_opinion import Namer

        other = default_other(measured.site.model)
        return None if other is None else Namer(other, prompts=("{}",))

    def judge(found: Visualization) -> list[dict[str, Any] | None]:
        try:
            percentiles, count = _percentiles(found, measured)
            namer = ask()
            names = namer.answers(list(found)) if namer else [""] * len(found)
        except LensError:  # made for another place, say: the picture is shown without the line
            return [None] * len(found)
        by = namer.model.name if namer else ""
        return [
            {"percentile": float(percentile), "n": count, "by": by, "answer": name}
            for percentile, name in zip(percentiles, names, strict=True)
        ]

    return judge


def _percentiles(found: Visualization, measured: Responses) -> tuple[np.ndarray, int]:
    from lens.featurevis.judged.quality import quality
    from lens.featurevis.judged.reference import Reference

    # The picture was made by a twin of the model, whose sites are its own.
    twin = found.units[0].site.pre_activation  # type: ignore[union-attr]
    known = Reference(twin, measured.pool, measured.values)
    judged = quality(found, known, other=None, progress=False)
    return judged.images["percentile"].to_numpy(), len(known)
