"""Attention layers are called by their blocks; what looks elsewhere is called so."""

import pytest

from lens.families.attention_names import attention_layers, with_attention
from lens.families.family import Place, Tower
from lens.families.trace import Ran


def ran(queries=5, keys=5):
    shapes = {"q": (2, 4, queries, 8), "k": (2, 4, keys, 8), "v": (2, 4, keys, 8)}
    return Ran(calls=1, attention=shapes, attention_calls=1)


def tower(*blocks):
    places = [Place(f"text.blocks.{i}", path, "block") for i, path in enumerate(blocks)]
    places.insert(0, Place("text.blocks.0.mlp.neurons", f"{blocks[0]}.mlp.act", "neurons"))
    return Tower("text", lambda m, x: x, lambda n: None, (*places, Place("text.output", "", "")))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["b.0.attn", "b.1.attn"], ["text.blocks.0.attention", "text.blocks.1.attention"]),
        (["b.0.self_attn", "b.0.encoder_attn"],
         ["text.blocks.0.attention", "text.blocks.0.cross_attention"]),
        (["b.0.x", "b.0.y", "b.0.z"], ["text.blocks.0.x", "text.blocks.0.y", "text.blocks.0.z"]),
        (["text.pool.attn", "b.0"], ["text.pool.attn", "text.blocks.0.attention"]),
    ],
)  # fmt: skip
def test_names(paths, names):
    assert list(attention_layers(tower("b.0", "b.1"), {p: ran() for p in paths})) == names


def test_a_longer_row_of_keys_tells_what_looks_elsewhere():
    layers = attention_layers(tower("b.0"), {"b.0.first": ran(), "b.0.second": ran(keys=9)})
    assert layers == {
        "text.blocks.0.attention": "b.0.first", "text.blocks.0.cross_attention": "b.0.second",
    }  # fmt: skip


def test_block_ten_is_not_in_block_one():
    layers = attention_layers(tower(*(f"b.{i}" for i in range(11))), {"b.10.attn": ran()})
    assert layers == {"text.blocks.10.attention": "b.10.attn"}


def test_two_that_nothing_tells_apart_have_two_names():
    layers = attention_layers(tower("b.0"), {"b.0.left.attn": ran(), "b.0.right.attn": ran()})
    assert len(layers) == 2


def test_parts_stand_where_they_are_computed():
    own = tower("b.0", "b.1")
    layers = {"text.blocks.0.attention": "b.0.attn", "text.pool": "pool"}
    names = [place.name for place in with_attention(own.places, layers)]
    assert names == [
        *(f"text.blocks.0.attention.{part}" for part in ("q", "k", "v", "pattern", "heads")),
        "text.blocks.0.mlp.neurons", "text.blocks.0", "text.blocks.1",
        *(f"text.pool.{part}" for part in ("q", "k", "v", "pattern", "heads")),
        "text.output",
    ]  # fmt: skip
