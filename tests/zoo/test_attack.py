import torch

from lens.zoo.attack import pgd_l2


def attacked(radius, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = 0.5 + 0.1 * torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(9))
    way = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(8))
    return (
        pixels,
        way,
        pgd_l2(lambda x: (x * way).sum(), pixels, radius=radius, steps=steps, generator=generator),
    )


def test_never_leaves_the_ball_nor_the_pixel_range():
    for radius in (0.3, 1.0, 8.0):
        pixels, _, moved = attacked(radius, 3)
        assert (moved - pixels).flatten(1).norm(dim=1).max() <= radius * (1 + 1e-5)
        assert 0 <= moved.min() and moved.max() <= 1


def test_climbs_to_the_optimum_of_a_linear_loss():
    # In an L2 ball a linear loss is highest along its own gradient: a closed form.
    pixels, way, moved = attacked(0.4, 12)
    best = pixels + 0.4 * way / way.norm()
    gained = ((moved - pixels) * way).sum((1, 2, 3))
    possible = ((best - pixels) * way).sum((1, 2, 3))
    assert (gained > 0.97 * possible).all()


def test_is_seeded():
    assert torch.equal(attacked(0.4, 1, seed=3)[2], attacked(0.4, 1, seed=3)[2])
    assert not torch.equal(attacked(0.4, 1, seed=3)[2], attacked(0.4, 1, seed=4)[2])
