"""The embedded models' architectures: open_clip's own classes, small."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens.errors import UnknownModel, nearest

if TYPE_CHECKING:
    from open_clip.model import CLIP
    from open_clip.tokenizer import SimpleTokenizer

HERE = Path(__file__).parent
SIZE = 96
EMBEDDING = 256

# A short vocabulary (the first merges of CLIP's byte-pair encoding) still spells any English
# caption; the full one would be three quarters of the weights.
TEXT = {"context_length": 32, "vocab_size": 8192, "width": 192, "heads": 4, "layers": 4}

VISION = {
    # 1,024 convolutional units in the last stage.
    "glyph-rn": {"layers": [2, 2, 2, 2], "width": 32, "image_size": SIZE},
    # 64 patches of 12 px and a class token.
    "glyph-vit": {
        "layers": 6, "width": 192, "head_width": 32, "patch_size": 12, "image_size": SIZE
    },
}  # fmt: skip


def names() -> list[str]:
    """Names of the embedded models, the default first."""
    return list(VISION)


def check_name(name: str) -> str:
    """Return `name`, or raise `UnknownModel` with the nearest embedded model."""
    if name not in VISION:
        close = ", ".join(nearest(name, VISION) or VISION)
        raise UnknownModel(f"There is no embedded model {name!r}; did you mean {close}?")
    return name


def module(name: str) -> CLIP:
    """A freshly initialised open_clip ``CLIP`` of the named architecture, in eval mode."""
    from open_clip.model import CLIP

    vision: Any = VISION[check_name(name)]
    text: Any = TEXT
    clip = CLIP(EMBEDDING, dict(vision), dict(text))
    return clip.eval()


def tokenizer() -> SimpleTokenizer:
    """open_clip's tokenizer with the embedded models' vocabulary."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(str(HERE / "merges.txt.gz"), context_length=TEXT["context_length"])


def write_merges() -> None:
    """Cut the vocabulary from the file that open_clip ships (two bytes' alphabets, two marks)."""
    import open_clip

    full = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(full.read_bytes()).decode().split("\n")
    kept = "\n".join(lines[: 1 + TEXT["vocab_size"] - 2 * 256 - 2])
    (HERE / "merges.txt.gz").write_bytes(gzip.compress(kept.encode(), mtime=0))
