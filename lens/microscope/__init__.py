"""The room where web sites of models are built; called, it is the verb itself.

`lens.microscope(model, "site/")` is `lens.microscope.build.microscope`.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lens.microscope.result import Microscope


class _Verb(ModuleType):
    """A package that can be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Microscope:
        from lens.microscope.build import microscope

        return microscope(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        from lens.microscope.build import microscope

        return inspect.signature(microscope)


sys.modules[__name__].__class__ = _Verb
