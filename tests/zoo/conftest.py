import pytest

from lens.data import glyphs
from lens.zoo.architectures import SIZE
from lens.zoo.scenes import Scenes


@pytest.fixture(scope="session")
def scenes():
    return Scenes(glyphs(), SIZE)
