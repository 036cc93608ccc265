"""The attention explorer: every layer and head of a model, live in a notebook or saved as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets
from jaxtyping import Float

from lens.attribution import scene
from lens.capture.attention_maps import AttentionLayer, AttentionMaps
from lens.errors import BadInput, UnknownSite, suggestion
from lens.widgets import host
from lens.widgets.atlas import webp
from lens.widgets.attention.traits import layer_maps, small
from lens.widgets.esm import module
from lens.widgets.link import named
from lens.widgets.theme import styles
from lens.widgets.view import View, is_figure

if TYPE_CHECKING:
    from lens.figures import Figure

HERE = Path(__file__).parent

#: A page holds all layers of all inputs below this many bytes of weights.
SMALL = 32 * 2**20


class AttentionExplorer(View):
    """Where every layer and head looks; made by `lens.attention(...).explore()`.

    Attributes
    ----------
    row
        The input shown, from 0.
    asked
        The layer shown and its input, ``"0/image.blocks.3.attention"``.
    scored
        The layer whose heads were asked to be ablated, written in the same way; "" for none.
    scores
        What was found: for each such layer ``{"similarity", "changes"}``, a change a head.
    """

    _esm = module(HERE / "attention.js")
    _css = styles(HERE / "attention.css")

    about = traitlets.Dict().tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)
    overview = traitlets.Dict().tag(sync=True)
    asked = traitlets.Unicode().tag(sync=True)
    maps = traitlets.Dict().tag(sync=True)
    scored = traitlets.Unicode().tag(sync=True)
    scores = traitlets.Dict().tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)

    def __init__(self, maps: AttentionMaps, layer: str | None = None, row: int = 0) -> None:
        """Open the explorer on what `lens.attention` returned; see `explore`."""
        self._maps = maps
        self._layers: dict[str, AttentionLayer | None] = scene.listed(maps)
        self._made: dict[str, dict[str, Any]] = {}
        self._looked: dict[str, None] = {}  # in order
        self._rows = max(scene.count(maps, tower) for tower in ("image", "text", "cross"))
        first = _first(maps, self._layers) if layer is None else self._known(layer)
        asked = f"{self._row(row)}/{first}"
        super().__init__(
            about=self._about,
            row=row,
            overview=self._overview(row),
            asked=asked,
            maps=self._layer(asked),
        )

    @property
    def heading(self) -> str:
        """The model's name."""
        return f"Attention of {self._maps.model}"

    def head_scores(self, layers: Sequence[str] | str | None = None) -> dict[str, Any]:
        """Ablate the heads of layers on the input shown, and show what that changes.

        Parameters
        ----------
        layers
            Their names; all by default. Each head takes one forward pass.

        Raises
        ------
        BadInput
            If the maps were not made of one model with a picture and a text.
        """
        from lens.attribution.ablation import head_scores

        if (why := self._unscored) is not None:
            raise BadInput(why)
        image, text = (self._input(tower, self.row) for tower in ("image", "text"))
        table = head_scores(self._maps.of, image, text, layers)  # type: ignore[arg-type]
        found = {
            f"{self.row}/{layer}": {
                "similarity": float(rows["similarity"].iloc[0]),
                "changes": [float(f"{change:.5g}") for change in rows["change"]],
            }
            for layer, rows in table.groupby("layer", sort=False)
        }
        self.scores = {**self.scores, **found}
        return found

    def save(
        self,
        path: str | Path,
        *,
        beside: Sequence[View] = (),
        layers: Iterable[str] | None = None,
    ) -> Path:
        """Write the explorer as one HTML file that needs no kernel and no network, or as a figure.

        The file holds all layers where their weights take less than 32 MiB before compression, else
        those that were looked at; its size is printed.

        Parameters
        ----------
        path
            Ends in ``.html``, or in ``.svg``, ``.pdf`` or ``.png`` for `figure`. Missing folders
            are made.
        beside
            Other views that the same page shows below this one.
        layers
            Which layers to hold in an HTML file instead.
        """
        names = None if layers is None else [self._known(name) for name in layers]
        if is_figure(path):
            return super().save(path, beside=beside)
        self._chosen = names
        try:
            written = super().save(path, beside=beside)
        finally:
            self._chosen = None
        held = {asked.partition("/")[2] for asked in self._held(names)}
        size = written.stat().st_size / 2**20
        print(f"{written}: {len(held)} of {len(self._layers)} layers, {size:.1f} MiB")
        return written

    def figure(self, **settings: Any) -> Figure:
        """Draw the heads of the input and of the tower that are shown.

        ``settings`` are those of `lens.figures.attention_sheet`.
        """
        from lens.figures import attention_sheet

        name = self.asked.partition("/")[2]
        layer = self._layers[name]
        tower = layer.tower if layer is not None else name.partition(".")[0]
        shown = {} if "layers" in settings else {"tower": tower}
        return attention_sheet(self._maps, **{"row": self.row, **shown, **settings})

    _chosen: list[str] | None = None

    def answers(self) -> host.Answers:
        """All layers of all inputs where they are small; else those that were looked at."""
        return {
            "asked": {asked: {"maps": self._layer(asked)} for asked in self._held(self._chosen)},
            "row": {row: {"overview": self._overview(row)} for row in range(self._rows)},
        }

    def state(self) -> dict[str, Any]:
        """Give what the page starts with, and which layers it has."""
        held = self._held(self._chosen)
        return {**super().state(), "notice": "", "about": {**self._about, "held": held}}

    def __repr__(self) -> str:
        heads = sum(layer["heads"] for layer in self._about["layers"] if not layer["rollout"])
        count = sum(not layer["rollout"] for layer in self._about["layers"])
        return f"{self.heading}: {count} layers, {heads} heads, {self._rows} inputs"

    # -- what is asked for ---------------------------------------------------------------------

    @traitlets.observe("row")
    def _walk(self, change: Any) -> None:
        row = change["new"]
        if self.overview.get("row") != row and 0 <= row < self._rows:
            self.overview = self._overview(row)

    @traitlets.observe("asked")
    def _answer(self, change: Any) -> None:
        asked = change["new"]
        if self.maps.get("key") == asked:
            return
        try:
            made = self._layer(asked)
        except Exception as problem:  # the page says it; the notebook goes on
            self.notice = f"{asked.partition('/')[2]} could not be shown: {problem}"
            return
        self._looked[asked] = None
        with self.hold_sync():
            self.notice = ""
            self.maps = made

    @traitlets.observe("scored")
    def _score(self, change: Any) -> None:
        asked = change["new"]
        if not asked or asked in self.scores:
            return
        try:
            self.head_scores(asked.partition("/")[2])
        except Exception as problem:
            self.notice = f"The heads could not be scored: {problem}"

    # -- what is answered ----------------------------------------------------------------------

    @cached_property
    def _about(self) -> dict[str, Any]:
        scored: Iterable[str] = ()
        if self._unscored is None:
            from lens.attribution.ablation import scored_layers

            assert self._maps.of is not None
            scored = scored_layers(self._maps.of)
        layers = []
        for name, layer in self._layers.items():
            pattern = layer.pattern if layer is not None else None
            tower = layer.tower if layer is not None else name.partition(".")[0]
            inputs = max(scene.count(self._maps, tower), 1)  # type: ignore[arg-type]
            layers.append(
                {
                    "name": name,
                    "tower": tower,
                    "heads": 1 if pattern is None else pattern.shape[1],
                    "windows": 1 if pattern is None else len(pattern) // inputs,
                    "rollout": layer is None,
                    "scored": name in scored,
                }
            )
        seen = [scene.picture_of(self._maps, row) for row in range(self._rows)]
        texts = self._maps.texts or [""]
        return {
            "model": self._maps.model,
            "rows": self._rows,
            "layers": layers,
            "held": None,
            "images": ["" if picture is None else named(picture) for picture in seen],
            "texts": [texts[min(row, len(texts) - 1)] for row in range(self._rows)],
        }

    @property
    def _unscored(self) -> str | None:
        """Say why heads cannot be scored, where they cannot."""
        if self._maps.of is None:
            return "The model is not at hand: ask lens.attention again."
        if not {"image", "text"} <= set(self._maps.inputs):
            return "Heads are scored by the similarity of a picture and a text: give both."
        return None

    def _overview(self, row: int) -> dict[str, Any]:
        icons, entropy = {}, {}
        words = scene.words_of(self._maps, row)
        for name in self._layers:
            pattern, query, key = self._seen(name, row, words)
            icons[name] = small(pattern, query, key)
            safe = np.where(pattern > 0, pattern, 1)
            spread = -(pattern * np.log(safe)).sum(-1).mean(-1)
            entropy[name] = [round(float(value), 3) for value in spread]
        picture = scene.picture_of(self._maps, row)
        texts = self._maps.texts
        return {
            "row": row,
            "picture": None if picture is None else webp(picture, quality=92),
            "text": texts[min(row, len(texts) - 1)] if texts else "",
            "icons": icons,
            "entropy": entropy,
        }

    def _layer(self, asked: str) -> dict[str, Any]:
        row, _, name = asked.partition("/")
        number, known = self._row(row), self._known(name)
        if asked not in self._made:
            pattern, query, key = self._seen(known, number, scene.words_of(self._maps, number))
            self._made[asked] = layer_maps(asked, pattern, query, key)
        return self._made[asked]

    def _seen(
        self, name: str, row: int, words: list[str]
    ) -> tuple[Float[np.ndarray, "heads queries keys"], dict[str, Any], dict[str, Any]]:
        """Give one layer's pattern of one input, cut to the tokens that are shown."""
        return scene.seen(self._maps, name, row, words)

    def _held(self, names: Sequence[str] | None) -> list[str]:
        """List what a page holds: row and layer."""
        if names is None:
            layers = [layer for layer in self._layers.values() if layer is not None]
            if sum(layer.pattern.size for layer in layers) > SMALL:
                return list({self.asked: None, **self._looked})
            names = list(self._layers)
        listed = [f"{row}/{name}" for row in range(self._rows) for name in names]
        return list(dict.fromkeys([self.asked, *listed]))

    def _input(self, tower: Any, row: int) -> Any:
        batch: Any = self._maps.inputs[tower]
        return batch[min(row, len(batch) - 1)][None]

    def _known(self, name: str) -> str:
        for known in (name, f"{name}.attention"):
            if known in self._layers:
                return known
        towers = ", ".join(self._layers)
        hint = suggestion(name, self._layers) or f" It has: {towers}."
        raise UnknownSite(f"{self._maps.model} computes no attention in {name!r}.{hint}")

    def _row(self, row: Any) -> int:
        number = int(row) if str(row).lstrip("-").isdigit() else -1
        if not 0 <= number < self._rows:
            raise BadInput(f"There are the inputs 0 to {self._rows - 1}, not {row}.")
        return number


def explore(
    maps: AttentionMaps,
    *,
    layer: str | None = None,
    row: int = 0,
    scores: bool | str | Sequence[str] = False,
) -> AttentionExplorer:
    """Open the attention explorer: every head as a small map, and where each patch or word looks.

    Live, the weights of a layer are sent when it is looked at, a byte each with one scale a head.
    ``explorer.save("maps.html")`` writes a page for which neither kernel nor network is needed.

    Parameters
    ----------
    maps
        From `lens.attention`.
    layer
        The layer shown first; the last one of the image tower by default.
    row
        The input shown first.
    scores
        Whether to ablate every head beforehand, and show what that does to the similarity of
        picture and text; or the layers where to. In a running notebook the page asks for it a layer
        at a time.

    Raises
    ------
    BadInput
        If `maps` are none, there is no such input, or heads are to be scored without a picture
        and a text.
    UnknownSite
        If there is no attention of that name.
    """
    if not isinstance(maps, AttentionMaps):
        raise BadInput(
            f"The explorer shows what lens.attention returns, not a {type(maps).__name__}."
        )
    explorer = AttentionExplorer(maps, layer, row)
    if scores:
        explorer.head_scores(None if scores is True else scores)
    return explorer


def _first(maps: AttentionMaps, listed: dict[str, AttentionLayer | None]) -> str:
    names = [name for name, layer in listed.items() if layer is not None]
    image = [layer.name for layer in maps.tower("image")]
    if not names:
        raise BadInput(f"There is no attention of {maps.model} to look at.")
    return image[-1] if image else names[-1]
