from dataclasses import replace

import pytest
import torch

from lens.data import glyphs
from lens.zoo import load
from lens.zoo.train_generator import Drawing, Judging, Recipe, Tiles, _principal, finish, keys

FEW = Recipe(steps=6, batch=4, warmup=2, judge_steps=4)


@pytest.fixture(scope="module")
def tiles():
    few = Tiles(glyphs())
    few.concepts, few.pixels = few.concepts[:6], few.pixels[:, :6].clone()
    return few


@pytest.fixture(scope="module")
def model():
    return load("glyph-rn")


def test_tiles_are_every_seen_rendering_and_ink_is_black(tiles):
    assert tiles.renderings == ["cartoon", "render", "flat", "drawing", "word"]
    assert len(tiles) == 5 * 6
    assert tiles.inked.tolist() == [0, 0, 0, 1, 1]
    drawn = tiles[torch.arange(len(tiles))].view(5, 6, 4, 96, 96)
    assert (drawn[3:, :, :3] == 0).all()
    assert (drawn[:3, :, :3] > 0).any()
    # Alpha is multiplied in, so that no colour is larger than it; resizing rounds.
    assert (drawn[:, :, :3] <= drawn[:, :, 3:] + 2 / 255).all()


def test_a_run_that_is_killed_goes_on_to_the_same_bits(tiles, model, tmp_path):
    whole = Drawing(FEW, tmp_path / "whole", tiles, model)
    finish(whole, 6)
    half = Drawing(FEW, tmp_path / "halves", tiles, model)
    for _ in range(3):
        half.advance()
    half.save()
    rest = Drawing(FEW, tmp_path / "halves", tiles, model)
    assert rest.step == 3
    finish(rest, 6)
    for key, value in whole.module.state_dict().items():
        assert torch.equal(value, rest.module.state_dict()[key]), key
        assert torch.equal(whole.extra[key], rest.extra[key]), key
    judged = []
    for folder in ("a", "b"):
        judge = Judging(FEW, tmp_path / folder, tiles, whole.finished())
        for step in range(4):
            if folder == "b" and step == 2:
                judge.save()
                judge = Judging(FEW, tmp_path / folder, tiles, whole.finished())
            judge.advance()
        judged.append(judge.module.state_dict())
    assert all(torch.equal(judged[0][key], judged[1][key]) for key in judged[0])


def test_another_seed_does_not_go_on_from_the_checkpoint(tiles, model, tmp_path):
    Drawing(FEW, tmp_path, tiles, model).save()
    with pytest.raises(SystemExit, match="another seed"):
        Drawing(replace(FEW, seed=1), tmp_path, tiles, model)


def test_training_leaves_the_global_generator_and_learns(tiles, model, tmp_path):
    before = torch.get_rng_state()
    run = Drawing(replace(FEW, steps=60, batch=8), tmp_path, tiles, model)

    @torch.no_grad()
    def error():
        drawn = run.module.synthesis.decoder(run.module.mapping.codes.flatten(0, 1))
        return float((drawn - tiles[torch.arange(len(tiles))]).abs().mean())

    first = error()
    for _ in range(30):
        run.advance()
    assert torch.equal(before, torch.get_rng_state())
    assert error() < 0.7 * first


def test_keys_are_directions_and_alike_for_alike_concepts(model):
    found = keys(model, ["dog", "cat", "violin", "guitar", "pizza"])
    assert torch.allclose(found.norm(dim=1), torch.ones(5), atol=1e-5)


@pytest.mark.parametrize("rows", [5, 50])
def test_principal_components_by_either_way_are_those_of_the_covariance(rows):
    x = torch.randn(rows, 20, generator=torch.Generator().manual_seed(0)).double()
    found = _principal(x, 3)
    centred = x - x.mean(0)
    # Whitened scores are uncorrelated, of one variance, and keep the largest directions.
    assert torch.allclose(found.T @ found / rows, torch.eye(3).double(), atol=1e-8)
    left = torch.linalg.svd(centred, full_matrices=False)[0][:, :3]
    projected = left @ left.T @ found
    assert torch.allclose(projected, found, atol=1e-8)
