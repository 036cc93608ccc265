"""Attention that torch computes in one kernel of its own, asked for the weights it has anyway.

In inference `nn.MultiheadAttention` calls a native kernel, unless somebody watches torch's
functions. The kernel computes its pattern in any case and gives it to whoever asks for weights,
with the same output to the bit; so the module is asked, and nothing has to be worked out again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lens.families.attending import Attended, Part, hidden_by, instead

__all__ = ["Native", "Question", "question"]

_FORWARD = inspect.signature(nn.MultiheadAttention.forward)
_ASKED = {"need_weights": True, "average_attn_weights": False}


class Native(Attended):
    """An attention call whose pattern is the kernel's own; the rest is projected when asked for."""

    def __init__(
        self,
        module: nn.MultiheadAttention,
        tokens: Float[Tensor, "batch tokens width"],
        pattern: Float[Tensor, "batch heads tokens tokens"],
        hidden: Tensor | None = None,
    ) -> None:
        self._module, self._tokens = module, tokens
        self._by_hand, self._hidden, self._scale = False, hidden, None
        pattern = pattern.float() if pattern.dtype != torch.float64 else pattern
        if hidden is not None:  # a query that may look at nothing
            pattern = pattern.masked_fill((hidden == float("-inf")).all(-1, keepdim=True), 0.0)
        self.pattern = pattern

    @property
    def shapes(self) -> dict[Part, tuple[int, ...]]:
        """The shape of each part, nothing worked out."""
        shape = tuple(self.pattern.shape)
        one = (*shape[:3], self._module.head_dim)
        return {"q": one, "k": one, "v": one, "pattern": shape, "heads": one}

    @cached_property
    def _projected(self) -> tuple[Tensor, ...]:
        module = self._module
        made = F.linear(self._tokens, module.in_proj_weight, module.in_proj_bias)
        return made.unflatten(-1, (3, module.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind()

    @cached_property
    def q(self) -> Float[Tensor, "batch heads tokens width"]:  # type: ignore[override]
        """Queries, unscaled."""
        return self._projected[0]

    @cached_property
    def k(self) -> Float[Tensor, "batch heads tokens width"]:  # type: ignore[override]
        """Keys."""
        return self._projected[1]

    @cached_property
    def v(self) -> Float[Tensor, "batch heads tokens width"]:  # type: ignore[override]
        """Values."""
        return self._projected[2]


class Question:
    """A module's arguments, changed to ask for the pattern too.

    Parameters
    ----------
    module : nn.MultiheadAttention
        Whose native kernel is about to run.
    given : inspect.BoundArguments
        What it was called with.
    """

    def __init__(self, module: nn.MultiheadAttention, given: inspect.BoundArguments) -> None:
        self._module, self._given = module, dict(given.arguments)
        given.arguments |= _ASKED
        self.arguments = given.args[1:], given.kwargs

    def answer(
        self, output: tuple[Tensor, Tensor], tell: Callable[[Attended], Attended]
    ) -> tuple[Tensor, Tensor | None]:
        """Tell of the call, and return what the module would have returned by itself."""
        module, given = self._module, self._given
        mixed, weights = output
        hidden = None
        if given["attn_mask"] is not None or given["key_padding_mask"] is not None:
            masks = given["attn_mask"], given["key_padding_mask"]
            hidden = hidden_by(*masks, module.num_heads, like=weights)
        call = Native(module, given["query"], weights, hidden)
        made = tell(call)
        if made is not call:
            new, old = (
                F.linear(x.transpose(1, 2).flatten(2).to(mixed.dtype), module.out_proj.weight)
                for x in (made.heads, call.heads)
            )
            mixed = instead(mixed, new, old)
        if not given["need_weights"]:
            return mixed, None
        average = given["average_attn_weights"]
        return mixed, weights.sum(1) / module.num_heads if average else weights


def question(module: nn.Module, args: Any, kwargs: Any) -> Question | None:
    """Ask for the pattern where the native kernel will run; None elsewhere.

    Where weights are asked for and no native kernel runs, torch takes another way, whose output
    differs in the last bits: so these are torch's own conditions, and no GPU, whose kernel
    computes a pattern only for whoever asks.
    """
    if type(module).forward is not nn.MultiheadAttention.forward:
        return None
    assert isinstance(module, nn.MultiheadAttention)
    given = _FORWARD.bind(module, *args, **kwargs)
    given.apply_defaults()
    x, masks = given.arguments["query"], ("attn_mask", "key_padding_mask")
    if x is not given.arguments["key"] or x is not given.arguments["value"]:
        return None
    if any(m is not None and m.is_floating_point() for m in map(given.arguments.get, masks)):
        return None
    return Question(module, given) if _is_native(module) and _takes(module, x) else None


def _is_native(module: nn.MultiheadAttention) -> bool:
    return (
        module.batch_first
        and not module.training
        and module._qkv_same_embed_dim
        and module.in_proj_bias is not None
        and module.num_heads % 2 == 0
        and module.bias_k is None
        and module.bias_v is None
        and not module.add_zero_attn
    )


def _takes(module: nn.MultiheadAttention, x: Tensor) -> bool:
    involved = (x, *module.parameters())
    return (
        x.ndim == 3
        and not x.is_nested
        and all(tensor.device.type == "cpu" and tensor.dtype == x.dtype for tensor in involved)
        and torch.backends.mha.get_fastpath_enabled()
        and not torch.is_autocast_enabled()
        and not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in involved))
        and not torch.overrides.has_torch_function(involved)
    )
