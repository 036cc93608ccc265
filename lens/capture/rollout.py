"""Attention rollout: where the tokens of the last layer come from, through all layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from lens.errors import BadInput

__all__ = ["rollout"]


def rollout(
    patterns: Sequence[Float[np.ndarray, "n heads queries keys"]],
) -> Float[np.ndarray, "n queries keys"]:
    """Follow attention from the last layer to the first, residual stream included.

    With A the mean over heads, each layer is ``(A + I) / 2``, its rows scaled to sum to one; the
    rollout is the product of all layers, the last one first. A layer whose queries are not its
    keys (attention pooling) has no residual stream: it is A alone.

    Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (2020), section 3. It leaves
    out values, norms and MLPs: it says which tokens may have been mixed, not what the model used.

    Parameters
    ----------
    patterns : sequence of ndarray
        From the first layer to the last, (n, heads, queries, keys), rows that sum to one. A row of
        zeros, a query that may look at nothing, keeps its token.

    Returns
    -------
    ndarray
        (n, queries of the last layer, keys of the first) float32; rows sum to one.

    Raises
    ------
    BadInput
        If there is no layer, or one attends to other tokens than the layer before it gives.
    """
    if not patterns:
        raise BadInput("There is nothing to roll out: give the pattern of at least one layer.")
    product: np.ndarray | None = None
    for number, pattern in enumerate(patterns):
        step = _step(np.asarray(pattern, np.float64))
        if product is None:
            product = step
            continue
        if step.shape[0] != product.shape[0] or step.shape[2] != product.shape[1]:
            raise BadInput(
                f"Layer {number} attends to {step.shape[0]} x {step.shape[2]} inputs and tokens, "
                f"but the layer before it gives {product.shape[0]} x {product.shape[1]}: rollout "
                f"needs layers that pass on all tokens, not windows of them."
            )
        product = step @ product
    assert product is not None
    return product.astype(np.float32)


def _step(
    pattern: Float[np.ndarray, "n heads queries keys"],
) -> Float[np.ndarray, "n queries keys"]:
    mean = pattern.mean(1)
    queries, keys = mean.shape[1:]
    if queries == keys:
        mean = (mean + np.eye(queries)) / 2
    total = mean.sum(-1, keepdims=True)
    return mean / np.where(total > 0, total, 1)
