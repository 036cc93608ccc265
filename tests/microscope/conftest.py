"""A small web site of a model with random weights, and pages as a parser sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import lens
from lens.data import glyphs

CONCEPTS = ["dog", "pizza", "guitar", "volcano", "crown", "fish"]
UNITS = [0, 3, 5, 17, 200]
SETTINGS = {"units": UNITS, "visualize": {"steps": 2}, "batch_size": 2, "workers": 1,
            "progress": False}  # fmt: skip


class Renamed:
    """Stimuli whose concepts have other names."""

    def __init__(self, stimuli, names):
        self.stimuli = stimuli
        new = dict(zip(CONCEPTS, names, strict=True))
        self.table = stimuli.table.assign(
            concept=np.array([new[c] for c in stimuli.table["concept"]], dtype=object)
        )

    def __len__(self):
        return len(self.stimuli)

    def __getitem__(self, i):
        return self.stimuli[i]


@dataclass
class Page(HTMLParser):
    """The elements of a page with their attributes, and its text outside scripts."""

    path: Path
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    scripts: list[str] = field(default_factory=list)

    def __post_init__(self):
        HTMLParser.__init__(self, convert_charrefs=True)
        self._in_script = False
        self.feed(self.path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts.append(data)
        else:
            self.text += data

    def all(self, tag, **attributes):
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key) == value for key, value in attributes.items())
        ]


@pytest.fixture(scope="session")
def parse():
    """Parse a page: its elements, and its text."""
    return Page


@pytest.fixture(scope="session")
def renamed():
    """Give stimuli other names of concepts."""
    return Renamed


@pytest.fixture(scope="session")
def quick():
    """What makes a build take a second."""
    return SETTINGS


@pytest.fixture(scope="session")
def stimuli():
    return glyphs().stimuli(
        per_cell=4, size=64, concepts=CONCEPTS, renderings=["cartoon", "drawing", "word"]
    )


@pytest.fixture(scope="session")
def site(tiny_rn, stimuli, tmp_path_factory):
    """Two sites of a model, five units each."""
    folder = tmp_path_factory.mktemp("microscope") / "site"
    return lens.microscope(tiny_rn, folder, ["image.layer4", "image.layer3"], stimuli,
                           **{**SETTINGS, "units": [*UNITS[:4], 100]})  # fmt: skip


@pytest.fixture(scope="session")
def bits():
    """Give the bytes of every file below a folder."""

    def read(folder):
        folder = Path(folder)
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read
