"""Places in a model that can be looked at, their units, and how their tensors are laid out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from lens.errors import BadInput, UnitOutOfRange

if TYPE_CHECKING:
    from lens.model import Model

__all__ = [
    "Batch",
    "Layout",
    "Site",
    "Unit",
    "as_laid_out",
    "by_position",
    "rectangle",
    "unit_maps",
    "unit_values",
]

#: What the axes of a site's tensor are: B batch, C/D units, H W places, T tokens, Q K queries
#: and keys of attention, N heads of attention.
Layout = Literal["BCHW", "BHWC", "BTD", "TBD", "BD", "BNQK", "BNTD"]
At = Literal["output", "input", "q", "k", "v", "pattern", "heads"]
#: "cross" takes several inputs at once: a decoder that reads a picture and a text, a diffusion
#: transformer that reads latents, a text's states and a time.
TowerName = Literal["image", "text", "cross"]
#: What a tower runs on: pictures or token numbers; for a "cross" tower a tensor for each name.
Batch = Tensor | Mapping[str, Tensor]

#: Layouts whose units lie along one axis; the units of "BNTD" are a head's features, head by head.
UNIT_AXIS: dict[str, int] = {"BCHW": 1, "BHWC": 3, "BTD": 2, "TBD": 2, "BD": 1, "BNQK": 1}


@dataclass(frozen=True, repr=False)
class Site:
    """One place in a model: the output or the input of one of its modules, or its attention.

    Attributes
    ----------
    model : lens.model.Model
        The model that it is in.
    name : str
        What it is called: ``"image.layer4"``, or the module's own path.
    path : str
        The module's own dotted path, ``"visual.layer4"``.
    at : {"output", "input", "q", "k", "v", "pattern", "heads"}
        Which side of the module is looked at, or which part of the attention that it computes.
    tower : {"image", "text", "cross"}
        Which tower has to run.
    kind : str
        What sort of place it is: stage, block, neurons, pre-activation, attention, embedding,
        module.
    layout : Layout
        What the axes of its tensor are.
    n_units : int
        How many channels, features or neurons it has; of attention, the heads of a pattern, and
        the features of all heads, one head after the other, of q, k, v and heads.
    shape : tuple of int
        Its tensor's shape without the batch axis.
    calls : int
        How often the module runs in one forward pass; what is looked at is the last time.
    in_picture : bool
        Whether tokens have places in the picture; a video's and a Perceiver's latents do not.
    """

    model: Model
    name: str = field(compare=False)  # two names of one place are the same site
    path: str
    at: At
    tower: TowerName
    kind: str = field(compare=False)
    layout: Layout
    n_units: int
    shape: tuple[int, ...]
    calls: int = field(default=1, compare=False)
    in_picture: bool = field(default=True, compare=False)

    @property
    def module(self) -> nn.Module:
        """The torch module whose output or input this is."""
        return self.model.module.get_submodule(self.path)

    @property
    def batch_axis(self) -> int:
        """Which axis of the tensor counts the inputs."""
        return self.layout.index("B")

    @property
    def unit_axis(self) -> int | None:
        """Which axis of the tensor counts the units; None where heads and features do together."""
        return UNIT_AXIS.get(self.layout)

    @property
    def n_heads(self) -> int:
        """How many heads of attention it has; 0 where it is no attention."""
        return self.shape[0] if self.layout in ("BNQK", "BNTD") else 0

    @property
    def n_positions(self) -> int:
        """How many places or tokens it has, as `by_position` lays them out."""
        count = 1
        for length in self.shape:
            count *= length
        return count // self.n_units

    def head(self, index: int) -> list[Unit]:
        """Return the units of one head of attention.

        Raises
        ------
        UnitOutOfRange
            If it has no such head, or none at all.
        """
        number = int(index)
        if not 0 <= number < self.n_heads:
            has = f"the heads 0 to {self.n_heads - 1}" if self.n_heads else "no heads"
            raise UnitOutOfRange(f"{self.name} of {self.model.name} has {has}, not {index}.")
        width = self.n_units // self.n_heads
        return self.units(range(number * width, (number + 1) * width))

    @property
    def _tokens(self) -> int | None:
        """How many tokens its tensor has along one axis, if it has such an axis."""
        if self.layout == "BNTD":
            return self.shape[1]
        return self.shape[0] if self.layout in ("BTD", "TBD") else None

    @property
    def n_prefix(self) -> int:
        """How many tokens (class, registers) stand before those that have a place."""
        tokens, prefix = self._tokens, self.model.prefix_tokens
        if tokens is None or self.tower != "image":
            return 0
        if not self.in_picture:
            return prefix
        # What pools by attention may put one more token before those that it looks at.
        for count in (prefix, 0, 1) if self.kind == "attention" else (prefix, 0):
            if rectangle(tokens - count, self.model.image_size) is not None:
                return count
        return 0

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of places in the picture, or None where places make no grid."""
        if self.layout == "BCHW":
            return self.shape[1], self.shape[2]
        if self.layout == "BHWC":
            return self.shape[0], self.shape[1]
        if self._tokens is not None and self.tower == "image" and self.in_picture:
            return rectangle(self._tokens - self.n_prefix, self.model.image_size)
        return None

    @property
    def pre_activation(self) -> Site:
        """The site just before this one's final ReLU where there is one, else itself."""
        name = f"{self.name}.pre_relu"
        return self.model.site(name) if self.model.has_site(name) else self

    def unit(self, index: int) -> Unit:
        """Return one unit.

        Raises
        ------
        UnitOutOfRange
            If `index` is not in 0 .. n_units - 1.
        """
        number = int(index)
        if not 0 <= number < self.n_units:
            raise UnitOutOfRange(
                f"{self.name} of {self.model.name} has the units 0 to {self.n_units - 1}, "
                f"not {index}."
            )
        return Unit(self, number)

    def units(self, indices: Iterable[int] | None = None) -> list[Unit]:
        """Return several units, or all of them."""
        return [self.unit(i) for i in (range(self.n_units) if indices is None else indices)]

    def __repr__(self) -> str:
        return f"{self.model.name} {self.name} ({self.kind}, {self.n_units} units, {self.layout})"


@dataclass(frozen=True, repr=False)
class Unit:
    """One channel, feature or neuron of a site."""

    site: Site
    index: int

    @property
    def model(self) -> Model:
        """The model that it is in."""
        return self.site.model

    def __repr__(self) -> str:
        return f"{self.site.model.name} {self.site.name} unit {self.index}"


def rectangle(count: int, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns in the picture's proportions that hold `count` places exactly."""
    height, width = image_size
    rows = round((count * height / width) ** 0.5) if count > 0 else 0
    return (rows, count // rows) if rows and rows * (count // rows) == count else None


def by_position(
    site: Site, tensor: Float[Tensor, "*axes"]
) -> Float[Tensor, "batch positions units"]:
    """Lay a site's tensor out as batch, positions, units, whatever its own layout is.

    Parameters
    ----------
    site : Site
        Where the tensor was taken.
    tensor : Tensor
        In the site's own layout.

    Returns
    -------
    Tensor
        (batch, positions, units); a site without places has one position.
    """
    if site.layout == "BD":
        return tensor.unsqueeze(1)
    if site.layout == "TBD":
        return tensor.transpose(0, 1)
    if site.layout == "BHWC":
        return tensor.flatten(1, 2)
    if site.layout == "BNTD":
        return tensor.transpose(1, 2).flatten(2)
    if site.layout in ("BCHW", "BNQK"):
        return tensor.flatten(2).transpose(1, 2)
    return tensor


def as_laid_out(
    site: Site, placed: Float[Tensor, "batch positions units"], shape: Sequence[int]
) -> Float[Tensor, "*axes"]:
    """Undo `by_position`: back to a tensor of the given shape in the site's own layout."""
    if site.layout == "BNTD":
        return placed.unflatten(2, (shape[1], shape[3])).transpose(1, 2)
    if site.layout in ("BCHW", "BNQK"):
        placed = placed.transpose(1, 2)
    elif site.layout == "TBD":
        placed = placed.transpose(0, 1)
    return placed.reshape(tuple(shape))


def unit_maps(
    site: Site, tensor: Float[Tensor, "*axes"]
) -> Float[Tensor, "batch units height width"]:
    """Lay a site's tensor out as one map of the picture for each unit.

    Class and register tokens have no place and are left out.

    Raises
    ------
    BadInput
        If the places of this site do not make a grid.
    """
    grid = site.grid
    if grid is None:
        raise BadInput(f"{site.name} of {site.model.name} has no map: its units have no places.")
    placed = by_position(site, tensor)[:, site.n_prefix :]
    if site.layout in ("BCHW", "BHWC"):  # a picture of another size has another grid
        first = site.layout.index("H")
        grid = (tensor.shape[first], tensor.shape[first + 1])
    return placed.transpose(1, 2).unflatten(2, grid)


def unit_values(
    site: Site,
    tensor: Float[Tensor, "*axes"],
    pool: Literal["mean", "cls", "max"] = "mean",
    *,
    position: Int[Tensor, " batch"] | None = None,
) -> Float[Tensor, "batch units"]:
    """Return one number a unit for each input.

    Parameters
    ----------
    site : Site
        Where the tensor was taken.
    tensor : Tensor
        In the site's own layout.
    pool : {"mean", "cls", "max"}
        Mean or maximum over the places of the picture (class and register tokens left out) or
        over the tokens of the text; or the class token alone.
    position : Tensor, optional
        One token for each input to read instead, as `Model.pooled_token` tells for texts.

    Returns
    -------
    Tensor
        (batch, units)

    Raises
    ------
    BadInput
        If `pool` is unknown, or "cls" at a site without a class token.
    """
    placed = by_position(site, tensor)
    if position is not None:
        rows = placed.new_tensor(range(placed.shape[0])).long()
        return placed[rows, position.to(placed.device)]
    if pool == "cls":
        if site.layout == "BD":
            return placed[:, 0]
        if site.n_prefix == 0:
            raise BadInput(
                f"{site.name} of {site.model.name} has no class token; use 'mean' or 'max'."
            )
        return placed[:, 0]
    if pool not in ("mean", "max"):
        raise BadInput(f"pool is 'mean', 'max' or 'cls', not {pool!r}.")
    placed = placed[:, site.n_prefix :]
    return placed.mean(1) if pool == "mean" else placed.amax(1)
