"""A model that is open for looking at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from lens.errors import BadImage, BadInput
from lens.families import Family, Tower, processors
from lens.families.trace import evaluating, first_tensor, shapes
from lens.lookup import Lookup
from lens.pictures import open_picture, resized
from lens.site_table import SiteTable
from lens.sites import Batch, Site, TowerName
from lens.weights import fingerprint

__all__ = ["Model", "Preprocess", "Tokenizer"]

Tokenizer = Callable[[list[str]], Tensor]
Preprocess = Callable[[Image.Image], Tensor]


class Model:
    """A torch module with named sites, its picture format and its tokenizer.

    Made by `lens.load` and `lens.wrap`.

    Attributes
    ----------
    module : nn.Module
        The real torch module.
    name : str
        What it is called in tables and figures.
    image_size : tuple of int
        Height and width of the pictures it takes.
    mean, std : Tensor
        (3,), what pixels in [0, 1] are normalised with.
    tokenizer : callable or None
        From a list of strings to token numbers (batch, tokens).
    prefix_tokens : int
        Tokens of the image tower without a place in the picture.
    """

    def __init__(
        self,
        module: nn.Module,
        family: Family,
        *,
        name: str,
        preprocess: Preprocess | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.module = module
        self.name = name
        self.tokenizer = tokenizer
        self.image_size = family.image_size
        self.prefix_tokens = family.prefix_tokens
        self.mean = torch.tensor(family.mean)
        self.std = torch.tensor(family.std)
        self._family = family
        self._preprocess = preprocess or family.preprocess
        self._towers: dict[TowerName, Tower] = {tower.name: tower for tower in family.towers}
        self._lookup = Lookup(self, family.towers)
        # Called with what a tower gives, which they may change: for sites that no module gives.
        self._on_result: list[Callable[[TowerName, Tensor], Tensor | None]] = []

    # -- running ---------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the weights are: those that are at hand, where some are kept elsewhere."""
        places = (p.device for p in self.module.parameters() if p.device.type != "meta")
        return next(places, torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights, which pictures are converted to."""
        floats = (p.dtype for p in self.module.parameters() if p.is_floating_point())
        return next(floats, torch.float32)

    @property
    def towers(self) -> list[TowerName]:
        """The towers it has: "image", "text", "cross"."""
        return list(self._towers)

    def input_shape(self, tower: TowerName) -> Any:
        """Return the shape of one input of a tower, or of each of its inputs by name."""
        return shapes(self._tower(tower).example(1), from_axis=1)

    def reads(self, tower: TowerName) -> dict[str, str]:
        """Tell what a "cross" tower's inputs are called, and which are pictures and texts."""
        return dict(self._tower(tower).reads)

    def example(self, tower: TowerName, count: int) -> Any:
        """Inputs that a tower takes, to try it on."""
        return self.placed(self._tower(tower).example(count))

    def preprocess(self, image: Image.Image) -> Float[Tensor, "channels height width"]:
        """Turn a PIL image into what the image tower takes: resized, cropped, normalised."""
        if self._preprocess is not None:
            return self._preprocess(image)
        pixels = np.asarray(resized(image, self.image_size), dtype=np.float32) / 255
        batch = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
        if len(self.mean) == 1:
            batch = batch.mean(1, keepdim=True)
        return self.normalize(batch)[0]

    def normalize(
        self, pixels: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Normalise pixels in [0, 1]; differentiable."""
        mean, std = (value.to(pixels)[:, None, None] for value in (self.mean, self.std))
        return (pixels - mean) / std

    def run(self, tower: TowerName, batch: Batch) -> Tensor:
        """Run one tower on a batch, in eval mode; its output is not normalised.

        Parameters
        ----------
        tower : {"image", "text", "cross"}
            Which one.
        batch : Tensor or mapping of str to Tensor
            Normalised pictures (batch, 3, height, width), or token numbers (batch, tokens); for a
            "cross" tower a tensor for each name, as `model.input_shape("cross")` lists them.

        Returns
        -------
        Tensor
            What the tower gives: (batch, dim) for a CLIP.
        """
        with evaluating(self.module):
            output = self._tower(tower).run(self.module, self.placed(batch))
        tensor = first_tensor(output)
        if tensor is None:
            raise BadInput(f"The {tower} tower of {self.name} gives no tensor.")
        for listener in list(self._on_result):
            made = listener(tower, tensor)
            tensor = tensor if made is None else made
        return tensor

    def _tower(self, name: TowerName) -> Tower:
        if name not in self._towers:
            raise BadInput(f"{self.name} has no {name} tower; it has: {', '.join(self._towers)}.")
        return self._towers[name]

    def placed(self, batch: Any) -> Any:
        """Move a batch to the weights, and give pictures their type."""
        if isinstance(batch, Mapping):
            return {name: self.placed(tensor) for name, tensor in batch.items()}
        dtype, device = self.dtype if batch.is_floating_point() else batch.dtype, self.device
        on_gpu = device.type == "cuda"
        if on_gpu and batch.device.type == "cpu":
            batch = batch.pin_memory()  # so that the copy runs beside the computation
        return batch.to(device=device, dtype=dtype, non_blocking=on_gpu)

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "batch tokens"]:
        """Turn texts into token numbers.

        Raises
        ------
        BadInput
            If the model reads no text, or one of the texts is not a string.
        """
        if self.tokenizer is None:
            raise BadInput(f"{self.name} has no tokenizer; lens.wrap(..., tokenizer=...) gives it.")
        for text in texts:
            if not isinstance(text, str):
                raise BadInput(f"A text must be a str, not {type(text).__name__}.")
        found = self.tokenizer(list(texts))
        return processors.token_numbers(found, self._family)

    def pooled_token(self, tokens: Int[Tensor, "batch tokens"]) -> Int[Tensor, " batch"]:
        """Tell which token's vector stands for each text: the end-of-text token, mostly.

        Pass it on as `unit_values(site, tensor, position=...)`.
        """
        if self._family.pooled_token is None:
            raise BadInput(f"{self.name} reads no text.")
        return self._family.pooled_token(tokens)

    def embed(self, inputs: Any, batch_size: int = 64) -> Float[np.ndarray, "n dim"]:
        """Embed pictures or texts in the joint space.

        Parameters
        ----------
        inputs : one, or a sequence, of str or pictures
            A str is a text. A picture is a PIL image, an array, a `pathlib.Path`, or a tensor
            that has been preprocessed.
        batch_size : int
            How many run at once.

        Returns
        -------
        ndarray
            (N, D) float32, each row of length 1.
        """
        single = isinstance(inputs, (str, Path, Image.Image)) or getattr(inputs, "ndim", 4) < 4
        items = [inputs] if single else list(inputs)
        items = [item[0] if isinstance(item, tuple) else item for item in items]
        if not items:
            raise BadInput("There is nothing to embed: the list is empty.")
        texts = isinstance(items[0], str)
        rows = []
        for start in range(0, len(items), batch_size):
            part = items[start : start + batch_size]
            with torch.no_grad():
                if texts:
                    output = self.run("text", self.tokens(part))
                else:
                    output = self.run("image", torch.stack([self.picture(item) for item in part]))
            if output.ndim != 2:
                raise BadInput(f"{self.name} gives no single vector for each input.")
            rows.append(nn.functional.normalize(output.float(), dim=-1).cpu().numpy())
        return np.concatenate(rows)

    def picture(self, item: Any, label: str = "") -> Float[Tensor, "channels height width"]:
        """Turn anything that shows a picture into what the image tower takes.

        A float tensor is taken to be preprocessed and goes through as it is.
        """
        if isinstance(item, Tensor) and item.is_floating_point():
            bad = int((~torch.isfinite(item)).sum())
            if bad:
                raise BadImage(f"{label or 'A tensor'} has {bad} NaN or infinite values.")
            return item
        return self.preprocess(open_picture(item, label))

    # -- looking ---------------------------------------------------------------------------

    @property
    def sites(self) -> SiteTable:
        """Every named place, as a table; call it with a glob to choose some."""
        return self._lookup.table

    def site(self, name: str) -> Site:
        """Return the site of a friendly name or of the module's own dotted path.

        Raises
        ------
        UnknownSite
            If there is none, with the nearest names.
        """
        return self._lookup.site(name)

    def has_site(self, name: str) -> bool:
        """Tell whether a site of that name exists."""
        return self._lookup.find(name) is not None

    def own_paths(self, tower: TowerName) -> list[str]:
        """Dotted paths of a tower's modules, in the order in which they finish."""
        return self._lookup.own_paths(tower)

    def attention_layers(self, tower: TowerName) -> dict[str, str]:
        """Dotted paths of the modules of a tower that attend, by name, in order.

        ``f"{name}.pattern"`` and so on are sites where the attention is over whole inputs.
        """
        return self._lookup.attention_layers(tower)

    # -- telling models apart --------------------------------------------------------------

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any weight."""
        return fingerprint(self.module)

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.module.parameters())
        height, width = self.image_size
        pictures = f"pictures of {height} x {width}, " if height else ""
        return (
            f"Model {self.name}: {type(self.module).__name__}, {count / 1e6:.1f}M parameters, "
            f"{pictures}towers: {', '.join(self._towers)}, on {self.device}"
        )
