"""Points in known groups, and a map of them."""

from __future__ import annotations

import numpy as np
import pytest

import lens
from lens.data import glyphs

CENTRES = 4
EACH = 25


@pytest.fixture(scope="session")
def groups():
    """(100, 12) vectors in four groups, and each one's group."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(CENTRES, 12)) * 4
    rows = np.concatenate([c + random.normal(size=(EACH, 12)) for c in centres])
    return rows.astype(np.float32), np.repeat(["a", "b", "c", "d"], EACH)


@pytest.fixture(scope="session")
def few():
    return glyphs().stimuli(per_cell=2, size=64, concepts=glyphs().concepts[:6])


@pytest.fixture(scope="session")
def proj(groups):
    rows, names = groups
    return lens.project(rows, "pca", labels=names, progress=False)


@pytest.fixture
def seen(tiny_rn, few):
    """The few stimuli and three texts, as a small model sees them; a fresh map every time."""
    return lens.project(few, "pca", model=tiny_rn, texts=["dog", "cat", "tree"], progress=False)
