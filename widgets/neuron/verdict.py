"""The statistics of a unit, said in words that an honest reader understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from lens.neurons.overview import ACCEPTED

__all__ = ["ACCEPTED", "CAUTION", "STRONG", "Level", "Verdict", "verdict"]

Level = Literal["strong", "partial", "none"]

#: Score from which one speaks of a multimodal unit without "but".
STRONG = 0.95

CAUTION = (
    "The concept was chosen on one half of the stimuli and tested on the other half. It is the "
    "best of the concepts tried, for these stimuli: natural images may show something else."
)


class Verdict(NamedTuple):
    """What the page says about a unit.

    Attributes
    ----------
    level
        "strong": found at 5% false discoveries with a score of 0.95 or more; "partial": found,
        with a lower score; "none": not told from chance, or not tested.
    headline, plain, caution
        One sentence for the top of the page; what the numbers mean; what they do not.
    """

    level: Level
    headline: str
    plain: str
    caution: str


def verdict(statistics: Mapping[str, Any] | None) -> Verdict:
    """Put one unit's statistics into words.

    Parameters
    ----------
    statistics
        ``concept``, ``score``, ``q`` and ``auroc`` (by rendering), as in a `NeuronCard`; None for
        a unit that was not tested.
    """
    if statistics is None:
        return Verdict(
            "none",
            "Not tested against any concept.",
            "There is no statistic for this unit: what stands on this page are observations.",
            "",
        )
    concept, score, q = statistics["concept"], float(statistics["score"]), float(statistics["q"])
    auroc: Mapping[str, float] = statistics["auroc"]
    weakest = min(auroc, key=lambda rendering: auroc[rendering])
    meaning = (
        f"Take one stimulus of “{concept}” and one of another concept, in the same rendering: this "
        f"unit is higher for “{concept}” {_percent(score)} of the time in its weakest rendering "
        f"({weakest}); chance is 50%."
    )
    if not q <= ACCEPTED:
        return Verdict(
            "none",
            f"No concept established; “{concept}” comes closest.",
            f"{meaning} After correction for every unit and concept tested, that is not enough to "
            f"rule chance out in every rendering.",
            CAUTION,
        )
    if score >= STRONG:
        return Verdict("strong", f"Answers to “{concept}” in every rendering.", meaning, CAUTION)
    return Verdict(
        "partial",
        f"Prefers “{concept}” in every rendering, with exceptions.",
        f"{meaning} That is more than chance in every rendering, but other concepts often "
        f"excite it too.",
        CAUTION,
    )


def _percent(share: float) -> str:
    """Give whole percents, tenths near the ends; never a rounded-up 100%."""
    text = f"{100 * share:.1f}" if share > 0.98 or share < 0.02 else f"{100 * share:.0f}"
    return "over 99.9%" if share < 1 and text == "100.0" else f"{text.removesuffix('.0')}%"
