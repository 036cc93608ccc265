"""Activations on disk: opened lazily, checked, readable by plain zarr.

`lens.capture(model, inputs, sites, store="acts.zarr")` makes a store, and goes on with one that was
interrupted. `lens.store.open("acts.zarr")` reads it. What the files are is told in ``LAYOUT.md``
beside this file.

Examples
--------
>>> store = lens.store.open("acts.zarr")
>>> store.top(17, 100)                       # reads unit 17's chunks and no others
>>> store["image.layer4"][:64]               # an array of 64 rows
>>> lens.multimodal(store, site="image.layer4", stimuli=stimuli)
>>> store.export("image.layer4", "layer4.parquet")
"""

from __future__ import annotations

from lens.store.export import concatenate
from lens.store.reading import Store
from lens.store.reading import open_store as open

__all__ = ["Store", "concatenate", "open"]
