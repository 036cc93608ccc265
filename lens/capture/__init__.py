"""The room where activations are taken; called, it is the verb itself.

`lens.capture(model, inputs, sites)` is `lens.capture.run.capture`: one name serves as the verb of
the front door and as the package of its parts (`lens.capture.hooks`, `lens.capture.inputs`, ...),
whichever is imported first.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lens.capture.activations import Activations
    from lens.store import Store


class _Verb(ModuleType):
    """A package that can be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Activations | Store:
        from lens.capture.run import capture

        return capture(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        from lens.capture.run import capture

        return inspect.signature(capture)


sys.modules[__name__].__class__ = _Verb
