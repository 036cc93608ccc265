"""lens: a workbench for looking inside multimodal models from a notebook.

The front door. Nothing is defined here, and nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lens import (
        attribution,
        capture,
        data,
        edit,
        errors,
        featurevis,
        figures,
        microscope,
        neurons,
        projection,
        store,
        zoo,
    )
    from lens.attribution.explain import attribute
    from lens.capture.attention import attention
    from lens.capture.tracing import trace
    from lens.featurevis import visualize
    from lens.neurons.multimodal import multimodal
    from lens.opening import load, wrap
    from lens.projection import project
    from lens.widgets.neuron import neuron

__version__ = "0.1.0"

# Verb -> the module that it comes from. `capture` and `microscope` are rooms and verbs at once: the
# room can be called (see lens/capture/__init__.py).
_VERBS = {
    "load": "lens.opening",
    "wrap": "lens.opening",
    "attention": "lens.capture.attention",
    "trace": "lens.capture.tracing",
    "attribute": "lens.attribution.explain",
    "visualize": "lens.featurevis",
    "multimodal": "lens.neurons.multimodal",
    "neuron": "lens.widgets.neuron",
    "project": "lens.projection",
}
_ROOMS = (
    "attribution",
    "capture",
    "data",
    "edit",
    "errors",
    "featurevis",
    "figures",
    "microscope",
    "neurons",
    "projection",
    "store",
    "widgets",
    "zoo",
)

__all__ = [  # noqa: RUF022 - in the order in which they are used
    "load",
    "wrap",
    "capture",
    "attention",
    "trace",
    "attribute",
    "visualize",
    "multimodal",
    "neuron",
    "project",
    "microscope",
    "attribution",
    "data",
    "edit",
    "errors",
    "featurevis",
    "figures",
    "neurons",
    "projection",
    "store",
    "widgets",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"lens.{name}")
    if name in _VERBS:
        value = getattr(importlib.import_module(_VERBS[name]), name)
        globals()[name] = value
        return value
    from lens.errors import suggestion

    raise AttributeError(f"lens has no {name!r}.{suggestion(name, __all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
