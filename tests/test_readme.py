"""What the README shows runs as it stands there."""

import re
from pathlib import Path

import lens

BLOCKS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL
)


def test_every_block_is_python():
    assert len(BLOCKS) >= 2
    for block in BLOCKS:
        compile(block, "README.md", "exec")


def test_looking_inside_runs():
    (block,) = [block for block in BLOCKS if "decompose" in block]
    told: dict = {"lens": lens}
    exec(block, told)
    assert told["maps"]["image.blocks.5.attention"].map(head=2).shape == (8, 8)
    assert set(told["acts"]) == {s.name for s in told["model"].sites("image.blocks.*")}
