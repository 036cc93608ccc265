"""A run through every phase of a shrunken recipe, killed and gone on with."""

import pytest
import torch
from safetensors.torch import load_file

from lens.zoo import architectures, load
from lens.zoo.recipes import RECIPES, Phase, Recipe
from lens.zoo.student import FOLLOWED, Student
from lens.zoo.train import Run

RATE = (1e-3, 1e-4)
SHORT = Recipe(
    phases=(
        Phase(1, RATE, size=64, text="no"),
        Phase(1, RATE, text="introduced"),
        Phase(1, RATE),
        Phase(2, RATE, radius=1.0, attack_steps=2),
        Phase(2, RATE, text="locked", radius=0.5, attacked=0.5, variety=1.0, votes=True),
    ),
    batch=4,
    warmup=1,
    read_from=0.0,
    harder_within=4,
)
FOLLOWING = Recipe(
    phases=(Phase(5, RATE, text="locked"),),
    batch=4,
    warmup=1,
    read_from=0.0,
    harder_within=4,
    teacher="glyph-rn",
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
    lived = recipe.steps - 1  # within the last phase
    for _ in range(lived):
        killed.advance(scenes)
    killed.save()
    resumed = Run(name, recipe, tmp_path / "killed")
    assert resumed.step == lived
    assert not same(whole, resumed)
    for _ in range(recipe.steps - lived):
        resumed.advance(scenes)
    assert resumed.difficulty == whole.difficulty > 0
    assert same(whole, resumed)


def test_units_begin_with_one_vote_each_and_concepts_with_equal_shares():
    student = Student("glyph-rn", 8)
    student.elect()
    votes = student.votes.softmax(1)
    assert torch.allclose(votes.sum(0), torch.full((8,), 1024 / 8), rtol=1e-3)
    # A unit votes as the classifier read it, as far as the shares allow.
    agree = votes.argmax(1) == student.stage.weight.argmax(0)
    assert agree.float().mean() > 0.8


def test_votes_are_counted_on_the_values_before_the_relu():
    torch.manual_seed(0)
    student = Student("glyph-rn", 8).eval()
    torch.nn.init.ones_(student.clip.visual.layer4[-1].bn3.weight)  # open_clip starts it at zero
    student.elect()
    student.voting = True
    pixels = torch.rand(2, 3, 96, 96)
    kept = []
    act = student.clip.visual.layer4[-1].act3
    act.register_forward_pre_hook(lambda module, args: kept.append(args[0].clone()))
    with torch.no_grad():
        _, counted = student(pixels)
    before = kept[0].float()
    assert (before < 0).any()
    value = torch.where(before > 0, before, before / 2).mean((2, 3))
    expected = student.voice.exp() * value @ student.votes.softmax(1)
    assert torch.allclose(counted, expected, rtol=0.02, atol=1e-2)  # bfloat16


def test_a_transformer_follows_its_teacher_s_maps(scenes, tmp_path):
    run = Run("glyph-vit", FOLLOWING, tmp_path)
    run.advance(scenes)
    sizes = {stage: tuple(tokens.shape[1:]) for stage, tokens in run.student.tokens.items()}
    assert sizes == dict.fromkeys(FOLLOWED, (64, 192))
    assert {s: m.shape[1] for s, m in run.teacher.maps.items()} == {
        stage: channels for stage, (_, channels) in FOLLOWED.items()
    }
    assert all(layer.weight.grad.any() for layer in run.student.maps.values())


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
