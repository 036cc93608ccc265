import numpy as np
import torch

from lens.featurevis.likeness import pixel_correlation, ssim


def pair(noise):
    g = torch.Generator().manual_seed(0)
    a = torch.rand(2, 3, 24, 20, generator=g)
    return a, (a + noise * torch.randn(a.shape, generator=g)).clamp(0, 1)


def test_correlation_is_numpys():
    a, b = pair(0.3)
    wanted = [
        np.corrcoef(x.flatten().numpy(), y.flatten().numpy())[0, 1]
        for x, y in zip(a, b, strict=True)
    ]
    assert np.allclose(pixel_correlation(a, b), wanted, atol=1e-5)
    assert pixel_correlation(torch.full_like(a, 0.5), b).tolist() == [0, 0]


def test_structural_similarity_is_the_formula_window_by_window():
    a, b = pair(0.2)
    offset = np.arange(11) - 5
    line = np.exp(-(offset**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    total = []
    for channel in range(3):
        for top in range(24 - 10):
            for left in range(20 - 10):
                x = a[1, channel, top : top + 11, left : left + 11].double().numpy()
                y = b[1, channel, top : top + 11, left : left + 11].double().numpy()
                mx, my = (window * x).sum(), (window * y).sum()
                vx = (window * (x - mx) ** 2).sum()
                vy = (window * (y - my) ** 2).sum()
                both = (window * (x - mx) * (y - my)).sum()
                top_part = (2 * mx * my + 0.01**2) * (2 * both + 0.03**2)
                total.append(top_part / ((mx**2 + my**2 + 0.01**2) * (vx + vy + 0.03**2)))
    assert np.isclose(float(ssim(a, b)[1]), np.mean(total), atol=1e-6)
    assert torch.allclose(ssim(a, a), torch.ones(2))
    assert (ssim(*pair(0.1)) > ssim(*pair(0.4))).all()
