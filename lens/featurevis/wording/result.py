"""The result: texts with how much each excites a unit and how much like a caption it reads."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import pandas as pd

_SHOWN = 20


@dataclass(frozen=True, eq=False, repr=False)
class TextsThatExcite:
    """What a unit would like to read.

    Attributes
    ----------
    target
        The unit or objective.
    words
        Every word of the vocabulary, best first: ``text``, ``score`` (how much it excites the
        unit), ``z`` (the score in standard deviations above the mean word).
    table
        The best texts, words and phrases together, best first: ``text``, the number of ``words``,
        ``score``, ``z``, ``fluency`` (mean log-probability of a word) and ``total``,
        z + penalty * (fluency - that of the mean word).
    settings
        Beam, length, penalty and so on; ``tried`` says how many texts were scored.
    """

    target: Any
    words: pd.DataFrame
    table: pd.DataFrame
    settings: dict[str, Any]

    @property
    def best_word(self) -> str:
        """The single word that excites it most."""
        return str(self.words["text"].iloc[0])

    @property
    def best(self) -> str:
        """The text with the best total: it excites the unit, and reads like a caption."""
        return str(self.table["text"].iloc[0])

    @property
    def gain(self) -> float:
        """By how many standard deviations of words the best text beats the best single word."""
        return float(self.table["z"].iloc[0] - self.words["z"].iloc[0])

    def rank(self, word: str) -> int | None:
        """Place of a word among the single words, from 1; None where it is not among them."""
        found = self.words.index[self.words["text"] == word]
        return int(found[0]) + 1 if len(found) else None

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        sign = "gains" if self.gain >= 0 else "loses"
        compared = (
            "no phrase does better"
            if self.best == self.best_word
            else f"{self.best!r} {sign} {abs(self.gain):.2f} sd on it"
        )
        return (
            f"Texts that excite {self.target!r}: best of {len(self.words)} words "
            f"{self.best_word!r} ({self.words['z'].iloc[0]:.1f} sd); {compared}"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(str(row.text))}</td><td>{row.score:.3g}</td>"
            f"<td>{row.z:.2f}</td><td>{row.fluency:.2f}</td><td>{row.total:.2f}</td></tr>"
            for row in self.table.head(_SHOWN).itertuples()
        )
        head = "".join(f"<th>{name}</th>" for name in ("text", "score", "z", "fluency", "total"))
        return (
            f"<div><p>{html.escape(repr(self))}</p><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )
