"""Texts to come near to and to keep away from, with their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lens.errors import BadInput

Prompts = str | Sequence[str] | Mapping[str, float]

AVOIDED = 0.5  # weight of a text to keep away from, beside the 1 of a text to come near


def weights(text: Prompts, avoid: Prompts | None = None) -> dict[str, float]:
    """Texts and their weights, whose absolute values add up to 1.

    Parameters
    ----------
    text
        A text, several that count alike, or ``{text: weight}``; a weight below 0 repels.
    avoid
        The same for what to keep away from; its weights are halved.

    Raises
    ------
    BadInput
        Where there is no text, or a weight isn't a number.
    """
    found = _weighted(text)
    for one, weight in _weighted(avoid).items() if avoid is not None else ():
        found[one] = found.get(one, 0.0) - AVOIDED * weight
    total = sum(abs(weight) for weight in found.values())
    if not total:
        raise BadInput("every text has the weight 0: there is nothing to come near to.")
    return {one: weight / total for one, weight in found.items()}


def _weighted(text: Prompts) -> dict[str, float]:
    """Texts with their weights, in the order in which they came."""
    listed = [text] if isinstance(text, str) else text
    if not isinstance(listed, (Mapping, Sequence)):
        raise BadInput(f"guidance takes a text, or several, not {type(text).__name__}.")
    pairs = listed.items() if isinstance(listed, Mapping) else [(one, 1.0) for one in listed]
    found: dict[str, float] = {}
    for one, weight in pairs:
        if not isinstance(one, str) or not one.strip():
            raise BadInput(f"a text to guide by is a str of at least one letter, not {one!r}.")
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not (number and np.isfinite(weight)):
            raise BadInput(f"the weight of {one!r} is a number, not {weight!r}.")
        found[one] = found.get(one, 0.0) + float(weight)
    if not found:
        raise BadInput("there is no text to guide by; 'a photo of a dog' is one.")
    return found
