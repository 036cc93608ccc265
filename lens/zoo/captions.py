"""What the training captions say: the bare name, shared tags, and the style of the rendering."""

from __future__ import annotations

import torch

ANY = ("{c}", "{c}", "a {c}", "the {c}", "a picture of a {c}", "an image of a {c}", "this is a {c}")
STYLES = {
    "cartoon": ("a cartoon of a {c}", "a cartoon {c}", "a colourful picture of a {c}"),
    "icon": ("an icon of a {c}", "a flat icon of a {c}"),
    "render": ("a 3d render of a {c}", "a 3d {c}", "a shiny {c}"),
    "flat": ("a flat picture of a {c}", "an illustration of a {c}"),
    "drawing": ("a drawing of a {c}", "a black and white drawing of a {c}", "a sketch of a {c}"),
    "word": ("the word {c}", "a sign that says {c}", "text that reads {c}", "{c} in letters"),
}
TAGGED = ("{c}, {t}", "{t}: {c}", "a {c} and {t}", "{c}, something about {t}")
TAGS = ("{t}", "something about {t}", "a picture about {t}", "{t} things")


class Captions:
    """Random captions of concepts and tags, drawn from a generator."""

    def __init__(self, tags: dict[str, tuple[str, ...]], generator: torch.Generator) -> None:
        self.tags, self.generator = tags, generator

    def of(self, concept: str, rendering: str | None = None) -> str:
        """A caption of one concept; in the style of a rendering where that is given."""
        kind = float(torch.rand((), generator=self.generator))
        tags = self.tags[concept]
        if kind < 0.25 and tags:
            return self._pick(TAGGED).format(c=concept, t=self._pick(tags))
        if kind < 0.75 and rendering is not None:
            return self._pick(STYLES[rendering]).format(c=concept)
        return self._pick(ANY).format(c=concept)

    def of_tag(self, tag: str) -> str:
        """A caption of an idea."""
        return self._pick(TAGS).format(t=tag)

    def _pick(self, choices: tuple[str, ...]) -> str:
        return choices[int(torch.randint(len(choices), (), generator=self.generator))]
