"""The responses that a figure draws: given, or measured now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lens.errors import BadInput
from lens.neurons.responses import Responses, responses

if TYPE_CHECKING:
    from lens.sites import Unit

__all__ = ["measured_for"]


def measured_for(unit: Unit, stimuli: Any = None, measured: Responses | None = None) -> Responses:
    """Give the responses of a unit's site to the stimuli.

    Raises
    ------
    BadInput
        Where what was measured is of another site.
    """
    if measured is None:
        return responses(unit.site, stimuli)
    if measured.site.name not in (unit.site.name, unit.site.pre_activation.name):
        raise BadInput(
            f"The responses were measured at {measured.site.name}, and the unit is one of "
            f"{unit.site.name}."
        )
    return measured
