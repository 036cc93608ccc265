"""`lens demo` end to end, on an embedded architecture with random weights and few concepts."""

import re

import numpy as np
import pytest
from PIL import Image

import lens
from lens import demo as module
from lens.demo import demo, listed, may_open, open_notebook, summary
from lens.neurons.multimodal import multimodal

CONCEPTS = ["dog", "pizza", "guitar", "crown"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    import contextlib
    import io

    folder, said = tmp_path_factory.mktemp("demo") / "new" / "folder", io.StringIO()
    with contextlib.redirect_stdout(said):
        page = demo(
            folder,
            load=lambda: lens.load(pretrained=None, seed=0),
            units=4,
            concepts=CONCEPTS,
            steps=2,
        )
    return folder, page, said.getvalue()


def test_it_says_what_it_found_and_where_the_files_are(done):
    folder, page, said = done
    assert re.search(r"\d+ of 1,024 units answer to one concept in every rendering", said)
    assert re.search(r"unit +concept +score +p +q +n +d_prime +gap +cartoon +drawing +word", said)
    assert str(folder / "contact-sheet.png") in said
    assert str(page) in said
    assert re.search(r"done in \d+ s", said)


def test_the_files_are_what_they_should_be(done):
    folder, page, said = done
    with Image.open(folder / "contact-sheet.png") as sheet:
        assert np.asarray(sheet).std() > 10
    text = page.read_text(encoding="utf-8")
    first = re.search(r"gap +cartoon.*\n\s*(\d+)", said)[1]
    assert page.name == f"unit-{first}.html"
    assert f"<title>glyph-rn image.layer4 unit {first}" in text
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert not re.search(r"""(src|href)=["']https?://""", text)


def found(rng):
    table = [(c, m) for m in ("photo", "word") for c in ("a", "b", "c") for _ in range(6)]
    import pandas as pd

    frame = pd.DataFrame(table, columns=["concept", "rendering"])
    return multimodal(rng.normal(size=(len(frame), 30)), table=frame)


def test_the_summary_counts_units_that_pass_both_bars():
    table = found(np.random.default_rng(0))
    attrs = table.attrs
    table = table.assign(score=[0.99] * 3 + [0.96] * 2 + [0.5] * 25, q=[0.01] * 4 + [0.2] * 26)
    table.attrs = attrs | {"left_out": 2}
    text = summary(table, rows=7)
    assert text.startswith("4 of 30 units")
    assert "90 tests, 3 concepts, 2 more left out" in text
    assert len(listed(table.head(7)).splitlines()) == 8


def test_nothing_opens_without_a_terminal_or_with_no_browser(monkeypatch):
    assert not may_open()  # pytest captures stdout
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_BROWSER", raising=False)
    assert may_open()
    monkeypatch.setenv("NO_BROWSER", "1")
    assert not may_open()


def test_a_notebook_that_is_not_there_is_not_opened(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "NOTEBOOK", "no_such.ipynb")
    assert open_notebook() is False
