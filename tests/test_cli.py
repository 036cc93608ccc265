"""The command line: what it says, what it writes, and its exit status."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lens.cli import COMMANDS, main

RANDOM = ["--pretrained", "none", "--device", "cpu"]


def run(*arguments):
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


@pytest.fixture()
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_help_shows_the_commands_and_an_example_each(capsys):
    assert run("--help") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)
    for name in COMMANDS:
        assert run(name, "--help") == 0
        assert f"example:\n  lens {name}" in capsys.readouterr().out


def test_help_does_not_wait_for_torch():
    code = "import sys, lens.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_models(capsys):
    assert run("models") == 0
    assert "glyph-rn" in capsys.readouterr().out
    assert run("models", "rn50x4") == 0
    assert "RN50x4  openai" in capsys.readouterr().out


def test_capture_writes_what_capture_returns(pictures, tmp_path, capsys):
    import lens

    out = tmp_path / "acts.npz"
    site = ["--site", "image.layer4", "--reduce", "mean"]
    assert run("capture", pictures, *site, "--out", out, *RANDOM) == 0
    assert str(out) in capsys.readouterr().out
    model = lens.load(pretrained=None)
    acts = lens.capture(model, pictures, ["image.layer4"], reduce="mean", progress=False)
    with np.load(out) as saved:
        np.testing.assert_allclose(saved["image.layer4"], acts["image.layer4"], atol=1e-5)
        assert list(saved["inputs"]) == acts.inputs


def test_capture_streams_to_a_store_and_tells_how_far_it_is(pictures, tmp_path, capsys):
    import lens

    store = tmp_path / "acts.zarr"
    command = ["capture", "--data", pictures, "--sites", "image.layer4", "image.layer3",
               "--reduce", "mean", "--store", store, "--quantize", "uint8", *RANDOM]  # fmt: skip
    assert run(*command) == 0
    said = capsys.readouterr()
    assert "3 inputs at 2 sites take" in said.out
    assert "3/3" in said.err  # the bar
    assert list(lens.store.open(store)) == ["image.layer4", "image.layer3"]
    assert run(*command) == 0
    assert run("capture", "--status", store) == 0
    said = capsys.readouterr().out
    assert "3 of 3 inputs (100%), 1 of 1 blocks" in said
    assert said.endswith("finished\n")
    (store / "blocks" / "00000000.json").unlink()
    assert run("capture", "--status", store) == 0
    assert "0 of 3 inputs (0%)" in (said := capsys.readouterr().out)
    assert "the same lens capture again goes on" in said
    command[command.index("mean")] = "max"
    assert run(*command) == 2
    assert "another reduce ('mean', not 'max')" in capsys.readouterr().err


def test_capture_takes_texts_for_a_text_site(tmp_path):
    out = tmp_path / "texts.npz"
    site = ["--site", "text.embedding"]
    assert run("capture", "a dog", "a crown", *site, "--out", out, *RANDOM) == 0
    with np.load(out) as saved:
        assert saved["text.embedding"].shape[0] == 2


def test_visualize_writes_a_picture(tmp_path, capsys):
    out = tmp_path / "units.png"
    assert run("visualize", "image.layer4", 3, 5, "--steps", 2, "--out", out, *RANDOM) == 0
    assert "2 images" in capsys.readouterr().out
    with Image.open(out) as image:
        assert min(image.size) >= 96


def test_multimodal_prints_and_saves_the_table(tmp_path, capsys):
    out = tmp_path / "units.csv"
    few = ["--concepts", "dog", "pizza", "crown", "--renderings", "drawing", "word"]
    assert run("multimodal", *few, "--top", 5, "--out", out, *RANDOM) == 0
    assert "of 1,024 units" in capsys.readouterr().out
    table = pd.read_csv(out)
    assert len(table) == 1024
    assert list(table.columns[:4]) == ["unit", "concept", "score", "p"]


def test_microscope_builds_a_site_and_returns_at_once_when_it_is_there(tmp_path, capsys):
    few = ["--concepts", "dog", "pizza", "crown", "--renderings", "drawing", "word"]
    command = ["microscope", "glyph-rn", "--out", tmp_path / "site", "--site", "image.layer4",
               "--units", "3-4,9", "--steps", 1, "--per-cell", 2, *few, *RANDOM]  # fmt: skip
    assert run(*command) == 0
    assert "3 units of image.layer4" in capsys.readouterr().out
    assert (tmp_path / "site" / "0" / "unit" / "9.html").exists()
    assert run(*command) == 0
    assert "visualize" not in capsys.readouterr().err
    assert run(*[2 if part == 1 else part for part in command]) == 2
    assert "steps (1, not 2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demmo"], "did you mean 'demo'"),
        (["microscop"], "did you mean 'microscope'"),
        (["microscope"], "--out"),
        (["microscope", "--out", "x", "--units", "3-b", *RANDOM], "'3-b' is no unit"),
        (["microscope", "--out", "x", "--site", "text.embedding", *RANDOM], "text tower"),
        (["microscope", "glyph-rm", "--out", "x"], "glyph-rn"),
        ([], "COMMAND"),
        (["demo", "--units", "0"], "'0' is not a whole number above 0"),
        (["visualize", "image.layer4"], "UNIT"),
        (["visualize", "image.layer9", "1", *RANDOM], "image.layer"),
        (["visualize", "image.layer4", "5000", *RANDOM], "0 to 1023"),
        (["visualize", "image.layer4", "1", "--out", "x.gif"], ".png"),
        (["visualize", "image.layer4", "1", "--out", "no/such/x.png"], "no/such"),
        (["multimodal", "--model", "glyph-rm"], "glyph-rn"),
        (["multimodal", "--concepts", "dgo", *RANDOM], "dog"),
        (
            ["multimodal", "--concepts", "dog", "crown", "--renderings", "word", *RANDOM],
            "only 'word'",
        ),
        (["capture", "no-such-folder/", "--site", "image.layer4", *RANDOM], "no-such-folder"),
        (["models", "RN5O"], "RN50"),
        (["capture", "--data", "none/", "--sites", "image.layer4", *RANDOM], "'none'"),
        (["capture", "--data", "glyphs", *RANDOM], "Which sites?"),
        (["capture", "--sites", "image.layer4", *RANDOM], "--data"),
        (["capture", "--status", "none.zarr"], "none.zarr does not exist"),
        (
            [
                "capture",
                "--data",
                "glyphs",
                "--sites",
                "image.layer4",
                "--store",
                "x",
                "--budget",
                "1 MB",
                *RANDOM,
            ],
            "the budget is 1.0 MB",
        ),
        (
            [
                "capture",
                "--data",
                "glyphs",
                "--sites",
                "image.layer4",
                "--store",
                "x",
                "--reduce",
                "median",
                *RANDOM,
            ],
            "'median'",
        ),
    ],
)
def test_a_mistake_gets_status_2_and_one_clear_line(
    arguments, words, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    last = said.strip().splitlines()[-1]  # progress bars may stand above it
    assert words in last
    assert last.startswith("lens")
    assert "Traceback" not in said


def test_a_file_where_a_folder_should_be(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert run("demo", "--out", tmp_path / "taken" / "demo", *RANDOM) == 2
    assert "taken" in capsys.readouterr().err
