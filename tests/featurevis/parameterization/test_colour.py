import torch

from lens.featurevis.parameterization.colour import correlate, decorrelate, matrix


def test_there_and_back():
    plane = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(decorrelate(correlate(plane)), plane)


def test_channels_get_the_covariance_of_the_matrix():
    plane = torch.randn(1, 3, 400, 400, generator=torch.Generator().manual_seed(0))
    M = matrix(plane)
    got = torch.cov(correlate(plane).flatten(2)[0])
    torch.testing.assert_close(got, M @ M.T, atol=0.02, rtol=0)
    torch.testing.assert_close(M.norm(dim=0).max(), torch.ones(()))
