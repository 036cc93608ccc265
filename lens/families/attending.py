"""What an attention call attends to, worked out from the call's own arguments.

Attention goes through one of two functions of torch, whatever kernel runs underneath, or is written
out by hand as two products. A `TorchFunctionMode` sees them as they are called, so
nothing of the model is replaced: the call runs as it would, and its arguments (queries after
rotary positions and norms, masks, scales) say exactly what it attends to.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from lens.errors import BadInput
from lens.families.by_hand import PRODUCTS, SOFTMAXES, ByHand

__all__ = ["PARTS", "Attended", "Part", "Watch", "hidden_by", "instead"]

#: What an attention call is made of, in the order in which one follows from another.
Part = Literal["q", "k", "v", "pattern", "heads"]
PARTS: tuple[Part, ...] = get_args(Part)

_MHA = inspect.signature(F.multi_head_attention_forward)


class Attended:
    """One attention call: ``softmax(q k^T * scale + mask) v``, head by head.

    The pattern and the heads are worked out when they are first asked for, in float32 at least
    whatever the call was computed in; gradients flow through them where they are on.

    Parameters
    ----------
    q, k, v : Tensor
        (batch, heads, tokens, width of a head), as they enter the product.
    hidden : Tensor, optional
        What is not to be seen: True hides, or numbers to be added to the scores.
    scale : float, optional
        Of the scores; one over the root of the width by default.
    pattern, heads : Tensor, optional
        What takes the place of those that would be worked out.
    by_hand : bool
        Whether the model has computed the pattern itself. Its queries and keys may be scaled
        already, and how they became scores is not known.
    """

    def __init__(
        self,
        q: Float[Tensor, "batch heads queries width"],
        k: Float[Tensor, "batch heads keys width"],
        v: Float[Tensor, "batch heads keys value"],
        hidden: Tensor | None = None,
        scale: float | None = None,
        *,
        pattern: Float[Tensor, "batch heads queries keys"] | None = None,
        heads: Float[Tensor, "batch heads queries value"] | None = None,
        by_hand: bool = False,
    ) -> None:
        self.q, self.k, self.v = q, k, v
        self._by_hand = by_hand
        self._hidden, self._scale = hidden, scale
        if pattern is not None:
            self.pattern = pattern
        if heads is not None:
            self.heads = heads

    @property
    def shapes(self) -> dict[Part, tuple[int, ...]]:
        """The shape of each part, nothing worked out."""
        q, k, v = tuple(self.q.shape), tuple(self.k.shape), tuple(self.v.shape)
        return {"q": q, "k": k, "v": v, "pattern": (*q[:3], k[2]), "heads": (*q[:3], v[3])}

    @cached_property
    def pattern(self) -> Float[Tensor, "batch heads queries keys"]:
        """How much of each key every query takes.

        Rows sum to one, but for a query that may look at nothing, whose row is zero.
        """
        q, k, scale = self.q, self.k, self._scale
        with torch.autocast(q.device.type, enabled=False):
            scores = _wide(q) @ _wide(k).mT * (q.shape[-1] ** -0.5 if scale is None else scale)
            if self._hidden is None:
                return scores.softmax(-1)
            scores = scores + _additive(self._hidden, q)
            blind = (scores == float("-inf")).all(-1, keepdim=True)
            return scores.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)

    @cached_property
    def heads(self) -> Float[Tensor, "batch heads queries value"]:
        """What each head gives, before the heads are mixed."""
        with torch.autocast(self.q.device.type, enabled=False):
            return _wide(self.pattern) @ _wide(self.v)

    def changed(self, part: Part, value: Tensor) -> Attended:
        """The same call with one part changed, and what follows from that part worked out anew.

        Raises
        ------
        BadInput
            If it is a query or a key, and the model has computed the scores from it by hand.
        """
        if self._by_hand and value is getattr(self, part):
            return self  # it is the model's own, and in its graph
        if self._by_hand and part in ("q", "k"):
            raise BadInput(
                f"Attention that is written out by hand has its scores when its {part} is seen: "
                f"edit its pattern, v or heads, or open the model with attn_implementation='sdpa'."
            )
        given: dict[str, Any] = {"q": self.q, "k": self.k, "v": self.v, "by_hand": self._by_hand}
        given |= {"hidden": self._hidden, "scale": self._scale}
        if part == "heads" or (part == "v" and "pattern" in self.__dict__):
            given["pattern"] = self.pattern
        return Attended(**(given | {part: value}))


class Watch(TorchFunctionMode):
    """While active, tells `listener` of every attention call, and lets it change the call.

    Parameters
    ----------
    listener
        Called with what was attended to, after each call. Where it returns None or the same, the
        call's own output goes on; the heads of another `Attended` take the place of the call's.
    """

    def __init__(self, listener: Callable[[Attended], Attended | None]) -> None:
        super().__init__()
        self.listener = listener
        self._by_hand = ByHand()

    def __exit__(self, *error: Any) -> None:
        self._by_hand.forget()
        super().__exit__(*error)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the call; a mode is not entered again from within itself."""
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            return self._layer(func, args, kwargs)
        output = func(*args, **kwargs)
        if func in PRODUCTS or func in SOFTMAXES:
            parts = self._by_hand.see(func, args, output)
            return output if parts is None else self._written_out(parts, output)
        if func is F.scaled_dot_product_attention:
            call = _of_product(*args, **kwargs)
            made = self.listener(call)
            if made is None or made is call:
                return output
            return instead(output, made.heads, call.heads)
        return output

    def _written_out(self, parts: tuple[Tensor, Tensor, Tensor, Tensor], output: Tensor) -> Tensor:
        q, k, v, pattern = parts
        call = Attended(q, k, v, pattern=pattern, heads=output, by_hand=True)
        made = self.listener(call)
        return output if made is None or made is call else made.heads.to(output.dtype)

    def _layer(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a whole layer, whose projections are its own."""
        given = _MHA.bind(*args, **kwargs).arguments
        with _Product() as product:
            output = func(*args, **kwargs)
        call = _of_layer(given, None if torch.is_grad_enabled() else product.seen)
        made = self.listener(call)
        if made is None or made is call:
            return output
        # The layer's last product mixes the heads.
        new, old = (
            F.linear(x.permute(2, 0, 1, 3).flatten(2).to(output[0].dtype), given["out_proj_weight"])
            for x in (made.heads, call.heads)
        )
        return (instead(output[0], new, old), *output[1:])


class _Product(TorchDispatchMode):
    """Sees the queries, keys and values that a layer projects for itself, below its own graph."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: tuple[Tensor, Tensor, Tensor] | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation as it is."""
        if func.name().startswith("aten::_scaled_dot_product"):
            self.seen = args[:3]
        return func(*args, **(kwargs or {}))


def instead(output: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """What a call gives with `new` where it had worked with `old`.

    The kernel's own value and a difference: where nothing was changed it is the same to the bit,
    and the gradient goes through what was looked at.
    """
    moved = (new - old.detach()).reshape(output.shape)
    return (output.detach() + moved).to(output.dtype)


def _of_product(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Attended:
    """Read a call of ``F.scaled_dot_product_attention``; True in its mask keeps."""
    if enable_gqa:  # groups of queries share a head of keys
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    hidden = None
    if is_causal:
        shape = query.shape[-2], key.shape[-2]
        hidden = torch.ones(shape, dtype=torch.bool, device=query.device).triu(1)
    elif attn_mask is not None:
        hidden = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask
    q, k, v = _with_heads(query, key, value)
    return Attended(q, k, v, hidden, scale)


def _of_layer(
    given: dict[str, Any], product: tuple[Tensor, Tensor, Tensor] | None = None
) -> Attended:
    """Read a call of ``F.multi_head_attention_forward``; True in its masks hides.

    What went into its product, where that was seen, saves projecting once more.
    """
    if given.get("static_k") is not None or given.get("static_v") is not None:
        raise BadInput("Attention with static keys or values can't be read.")
    mask, padding = given.get("attn_mask"), given.get("key_padding_mask")
    added = (given.get("bias_k") is not None) + bool(given.get("add_zero_attn"))
    heads = given["num_heads"]
    if product is not None and product[0].shape[-1] * heads == given["embed_dim_to_check"]:
        q, k, v = product  # a kernel may have padded them, and then they are not taken
    else:
        q, k, v = (x.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3) for x in _all_keys(given))
    hidden = hidden_by(mask, padding, heads, like=q, added=added)
    return Attended(q, k, v, hidden)


def hidden_by(
    mask: Tensor | None, padding: Tensor | None, heads: int, *, like: Tensor, added: int = 0
) -> Tensor | None:
    """What a layer's two masks add to its scores; keys that it adds by itself are seen."""
    hidden = None
    if mask is not None:
        hidden = _additive(F.pad(mask, (0, added)), like)
        if hidden.ndim == 3:  # a mask for every input and head
            hidden = hidden.unflatten(0, (-1, heads))
    if padding is not None:
        padding = padding[None] if padding.ndim == 1 else padding
        padded = _additive(F.pad(padding, (0, added)), like)[:, None, None]
        hidden = padded if hidden is None else hidden + padded
    return hidden


def _all_keys(given: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, those among them that the layer adds by itself."""
    q, k, v = _projected(given)
    if given.get("bias_k") is not None:
        k = torch.cat([k, given["bias_k"].expand(-1, k.shape[1], -1)])
        v = torch.cat([v, given["bias_v"].expand(-1, v.shape[1], -1)])
    if given.get("add_zero_attn"):
        k, v = (torch.cat([x, torch.zeros_like(x[:1])]) for x in (k, v))
    return q, k, v


def _projected(given: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, each (tokens, batch, width), from packed or separate weights."""
    if given.get("use_separate_proj_weight"):
        weights = [given[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = list(given["in_proj_weight"].chunk(3))
    bias = given.get("in_proj_bias")
    biases = [None] * 3 if bias is None else list(bias.chunk(3))
    taken = [given[name] for name in ("query", "key", "value")]
    taken = [x.unsqueeze(1) if x.ndim == 2 else x for x in taken]  # one input without a batch axis
    q, k, v = (F.linear(x, w, b) for x, w, b in zip(taken, weights, biases, strict=True))
    return q, k, v


def _with_heads(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give (batch, heads, tokens, width) to calls that leave out the heads or the batch."""
    missing = {2: (0, 0), 3: (1,), 4: ()}.get(q.ndim)
    if missing is None:
        raise BadInput(
            f"An attention call with queries of the shape {tuple(q.shape)} can't be read."
        )
    for axis in missing:
        q, k, v = (x.unsqueeze(axis) for x in (q, k, v))
    return q, k, v


def _wide(tensor: Tensor) -> Tensor:
    """At least float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask to be added to the scores, from one whose True hides."""
    if mask.dtype != torch.bool:
        return mask.float()
    return torch.zeros(mask.shape, device=like.device).masked_fill(mask, float("-inf"))
