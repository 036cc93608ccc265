"""Attribution: which pixels, places or tokens a model's answer comes from.

``attribute`` explains one answer; ``methods`` lists the ways there are; ``randomized`` is the
sanity check that every result also offers as ``.sanity()``; ``head_scores`` ablates the heads of
attention one at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lens.attribution.ablation import head_scores
    from lens.attribution.explain import attribute, methods
    from lens.attribution.result import Attribution
    from lens.attribution.sanity import randomized

__all__ = ["Attribution", "attribute", "head_scores", "methods", "randomized"]

_HOME = {
    "Attribution": "result",
    "attribute": "explain",
    "head_scores": "ablation",
    "methods": "explain",
    "randomized": "sanity",
}


def __getattr__(name: str) -> Any:
    # torch and captum load when something is explained, not when the room is looked into.
    from importlib import import_module

    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
