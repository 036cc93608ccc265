"""Stores of a small model, made once; a test that changes one copies it first."""

import shutil

import pytest
import torch

import lens
from lens.store.reading import open_store


@pytest.fixture(scope="session")
def rows():
    """Twenty-one normalised pictures for `tiny_rn`: three blocks of eight, the last not full."""
    return torch.randn(21, 3, 64, 64, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="session")
def streamed(tmp_path_factory, tiny_rn, rows):
    """Make a store of two sites: `streamed("mean")`, `streamed(None, "uint8")`."""
    folder = tmp_path_factory.mktemp("stores")

    def make(reduce="mean", quantize=None):
        return lens.capture(
            tiny_rn,
            rows,
            ["image.layer3", "image.embedding"] if reduce in ("mean", "max", None) else sites,
            store=folder / f"{reduce}-{quantize}.zarr",
            reduce=reduce,
            quantize=quantize,
            batch_size=4,
            block_rows=8,
            progress=False,
        )

    sites = ["image.layer3"]
    return make


@pytest.fixture()
def copied(streamed, tmp_path):
    """Copy a store that a test may damage; returns its path."""

    def copy(reduce="mean", quantize=None):
        target = tmp_path / "copy.zarr"
        shutil.copytree(streamed(reduce, quantize).path, target)
        return target

    return copy


@pytest.fixture()
def reopened():
    return open_store
