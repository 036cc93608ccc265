"""Everything that `lens` refuses, each as one clear sentence that names the nearest right thing."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Any

__all__ = [
    "BadImage",
    "BadInput",
    "BadStore",
    "BadWeights",
    "LensError",
    "MissingOption",
    "NotDownloaded",
    "NotWritten",
    "StoreBusy",
    "StoreMismatch",
    "TooLarge",
    "UnitOutOfRange",
    "UnknownModel",
    "UnknownSite",
    "WorkerLost",
    "nearest",
    "suggestion",
]


class LensError(Exception):
    """The parent of every error that `lens` raises on purpose.

    Attributes
    ----------
    done : Any
        What had been done when it was raised, where there is something to keep.
    """

    done: Any = None

    def __str__(self) -> str:
        # KeyError would print the repr of its argument; a sentence is printed as it is.
        return " ".join(str(part) for part in self.args)


class UnknownSite(LensError, KeyError):
    """A name that no place in the model has."""


class UnknownModel(LensError, ValueError):
    """A model name, or a tag of pretrained weights, that does not exist."""


class NotDownloaded(LensError, OSError):
    """Weights or a tokenizer that exist but could not be fetched, mostly for want of a network."""


class UnitOutOfRange(LensError, IndexError):
    """A unit's number past the last unit of its site."""


class BadInput(LensError, ValueError):
    """An input that cannot be used as it is."""


class BadImage(BadInput):
    """A picture that cannot be read."""


class TooLarge(BadInput):
    """A picture or a result that would not fit into memory or onto the disk."""


class BadWeights(LensError, ValueError):
    """NaN or infinity among a model's weights."""


class BadStore(LensError, ValueError):
    """A store that cannot be read as it is: damaged, edited by hand, or of a newer version."""


class StoreMismatch(BadStore):
    """A store that was made with another model, data set or setting; `.differs` names them."""

    differs: tuple[str, ...] = ()


class StoreBusy(LensError, RuntimeError):
    """A store that another process is writing."""


class NotWritten(LensError, OSError):
    """A file that could not be written: a full disk, or no permission."""


class WorkerLost(LensError, RuntimeError):
    """Workers of a cluster that die again and again."""


class MissingOption(LensError):
    """Something that needs a part that this installation or this model does not have."""


def nearest(word: str, names: Iterable[str], n: int = 3) -> list[str]:
    """Return the `n` names most like `word`, best first.

    Parameters
    ----------
    word : str
        What was asked for.
    names : iterable of str
        What there is.
    n : int
        How many to return at most.

    Returns
    -------
    list of str
        Names that share at least 40% of their letters with `word`, in the same order.
    """
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(word.lower())
    scored = []
    for name in dict.fromkeys(names):
        matcher.set_seq1(name.lower())
        if matcher.real_quick_ratio() >= 0.4 and matcher.quick_ratio() >= 0.4:
            scored.append((matcher.ratio(), name))
    scored.sort(key=lambda pair: -pair[0])
    return [name for ratio, name in scored[:n] if ratio >= 0.4]


def suggestion(word: str, names: Iterable[str], n: int = 3) -> str:
    """Return `" Did you mean a, b or c?"`, or an empty string where nothing is near."""
    close = nearest(word, names, n)
    if not close:
        return ""
    listed = " or ".join([", ".join(close[:-1]), close[-1]] if len(close) > 1 else close)
    return f" Did you mean {listed}?"
