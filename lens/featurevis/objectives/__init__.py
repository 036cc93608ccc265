"""What an image is asked to do: values that can be added, scaled, printed and written down.

An objective gives every image one number, to be made large. ``unit(u) - 0.1 * total_variation()``
is a new objective; operands are never changed; ``repr`` prints the formula and ``recipe`` is
JSON-able. Objectives of the same form (unit 3, unit 8, unit 11 of a site) are measured together,
each on its own image, so that many units cost one pass.

Every measure is taken image by image and the run maximizes their sum, so images don't disturb each
other; only ``diversity`` couples the images of one unit, on purpose.

A file here is an idea: functions that make objectives, and beside each what measures it, registered
by ``lens.featurevis.objectives.measures.measures``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lens.errors import BadInput, suggestion
from lens.featurevis.objectives.accents import accentuation
from lens.featurevis.objectives.directions import cosine_direction, direction, latents
from lens.featurevis.objectives.embeddings import logit, similarity
from lens.featurevis.objectives.facets import facet
from lens.featurevis.objectives.formula import Combined, Objective, Place, Term, read_data
from lens.featurevis.objectives.grams import diversity, style
from lens.featurevis.objectives.heads import focus, head
from lens.featurevis.objectives.images import caricature, inversion
from lens.featurevis.objectives.layers import activation_l1, layer
from lens.featurevis.objectives.measures import MEASURES
from lens.featurevis.objectives.pixels import l1, total_variation
from lens.featurevis.objectives.scores import score
from lens.featurevis.objectives.units import channel, neuron, token, unit
from lens.model import Model

__all__ = [
    "Combined",
    "Objective",
    "Place",
    "Term",
    "accentuation",
    "activation_l1",
    "caricature",
    "channel",
    "cosine_direction",
    "direction",
    "diversity",
    "facet",
    "focus",
    "from_recipe",
    "head",
    "inversion",
    "l1",
    "latents",
    "layer",
    "logit",
    "neuron",
    "score",
    "similarity",
    "style",
    "token",
    "total_variation",
    "unit",
]


def from_recipe(recipe: dict[str, Any], model: Model, modules: Iterable[Any] = ()) -> Objective:
    """Build an objective on ``model`` from what ``Objective.recipe`` returned.

    Parameters
    ----------
    recipe
        What ``recipe()`` returned.
    model
        Whose sites are meant.
    modules
        Modules of one's own that give a ``score``; the one with the recipe's weights is taken.

    Raises
    ------
    BadInput
        Where the recipe names a kind of objective that does not exist here, or a module that is
        not given.
    UnknownSite
        Where the model has no such site.
    """
    if "sign" in recipe:
        left, right = (from_recipe(recipe[side], model, modules) for side in ("left", "right"))
        return Combined(recipe["sign"], left, right)
    if recipe.get("kind") not in MEASURES:
        raise BadInput(
            f"no objective is called {recipe.get('kind')!r}; there are {', '.join(MEASURES)}."
            + suggestion(str(recipe.get("kind")), MEASURES)
        )
    return Term(
        recipe["kind"],
        model.site(recipe["site"]) if recipe["site"] else None,
        read_data(recipe["data"], modules),
        tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in recipe["options"].items()),
        recipe["label"],
        tuple(model.site(name) for name in recipe["also"]),
        tuple(from_recipe(part, model, modules) for part in recipe.get("parts", ())),
    )
