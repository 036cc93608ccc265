"""A run through every phase of a shrunken recipe, killed and gone on with."""

import pytest
import torch
from safetensors.torch import load_file

from lens.zoo import architectures, load
from lens.zoo.recipes import RECIPES, Phase, Recipe
from lens.zoo.train import Run

RATE = (1e-3, 1e-4)
SHORT = Recipe(
    phases=(
        Phase(1, RATE, size=64, text="no"),
        Phase(1, RATE, text="introduced"),
        Phase(1, RATE),
        Phase(2, RATE, radius=1.0, attack_steps=2),
    ),
    batch=4,
    warmup=1,
    read_from=0.0,
    harder_within=4,
)
FOLLOWING = Recipe(
    phases=(Phase(5, RATE),), batch=4, warmup=1, read_from=0.0, harder_within=4, teacher="glyph-rn"
)
RUNS = {"glyph-rn": SHORT, "glyph-vit": FOLLOWING}


def same(a: Run, b: Run) -> bool:
    ours, theirs = a.student.state_dict(), b.student.state_dict()
    return all(torch.equal(ours[k], theirs[k]) for k in ours) and all(
        torch.equal(a.average[k], b.average[k]) for k in a.average
    )


@pytest.mark.parametrize(("name", "recipe"), RUNS.items())
def test_killed_and_resumed_gives_the_bits_of_an_uninterrupted_run(name, recipe, scenes, tmp_path):
    whole = Run(name, recipe, tmp_path / "whole")
    for _ in range(recipe.steps):
        whole.advance(scenes)
    killed = Run(name, recipe, tmp_path / "killed")
    for _ in range(3):
        killed.advance(scenes)
    killed.save()
    resumed = Run(name, recipe, tmp_path / "killed")
    assert resumed.step == 3
    assert not same(whole, resumed)
    for _ in range(recipe.steps - 3):
        resumed.advance(scenes)
    assert resumed.difficulty == whole.difficulty > 0
    assert same(whole, resumed)


def test_exported_weights_open_and_are_the_average(scenes, tmp_path):
    run = Run("glyph-rn", SHORT, tmp_path)
    run.advance(scenes)
    path = tmp_path / "glyph-rn.safetensors"
    run.export(path)
    model = load("glyph-rn", weights=path)
    key = "visual.layer4.1.conv2.weight"
    assert torch.equal(model.module.state_dict()[key], run.average[key].half().float())
    assert load_file(path)[key].dtype == torch.float16


def test_padding_left_out_of_a_caption_changes_nothing(tmp_path):
    run = Run("glyph-rn", SHORT, tmp_path)
    said = ["a dog", "a black and white drawing of a volcano, something about mountains"]
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        ours = run.student.eval().texts(said, run.tokenizer)
        theirs = run.student.clip.encode_text(run.tokenizer(said), normalize=True)
    assert torch.allclose(ours, theirs, atol=5e-3)  # bfloat16 against float32


def test_there_is_a_recipe_for_every_embedded_model():
    assert list(RECIPES) == architectures.names()
