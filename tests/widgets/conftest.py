"""A few stimuli."""

from __future__ import annotations

import pytest

from lens.data import glyphs


@pytest.fixture(scope="session")
def few():
    return glyphs().stimuli(per_cell=4, size=64, concepts=glyphs().concepts[:10])
