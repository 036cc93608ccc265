"""What a store was made with: its model, its data set and its settings, in one checked file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lens.errors import BadStore, StoreMismatch
from lens.store.place import Place

__all__ = ["MANIFEST", "VERSION", "Manifest", "StoredSite", "canonical", "checked"]

MANIFEST = "manifest.json"
#: Of the layout; a store with a higher number is refused.
VERSION = 1


@dataclass(frozen=True)
class StoredSite:
    """A site as the store remembers it, without its model.

    Attributes are those of `lens.sites.Site`; `layout` and `shape` are those of the stored rows,
    batch axis first. `aliases` are other names of the place, such as ``image.layer4.pre_relu``.
    """

    name: str
    path: str
    at: str
    tower: str
    kind: str
    layout: str
    n_units: int
    shape: tuple[int, ...]
    n_prefix: int
    grid: tuple[int, int] | None
    calls: int = 1
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """All that decides the bits of a store.

    Attributes
    ----------
    model, weights, preprocessing : str
        The model's name, and fingerprints of its weights and of what it makes of an input.
    dataset : dict
        ``fingerprint``, ``count`` and ``kind`` of the inputs.
    settings : dict
        ``reduce``, ``quantize``, ``batch_size``, ``rows_per_block``, ``device``, ``dtype``.
    sites : tuple of StoredSite
        Where the values were taken.
    made_with : dict
        Versions of libraries: told, never compared.
    """

    model: str
    weights: str
    preprocessing: str
    dataset: dict[str, Any]
    settings: dict[str, Any]
    sites: tuple[StoredSite, ...]
    made_with: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def count(self) -> int:
        """How many inputs, and so rows, there are."""
        return int(self.dataset["count"])

    @property
    def rows_per_block(self) -> int:
        """How many rows are written at once."""
        return int(self.settings["rows_per_block"])

    def dump(self) -> bytes:
        """Return the file: JSON with a checksum of its own."""
        body = {"format": "lens-store", "version": VERSION, **asdict(self)}
        return checked(json.loads(json.dumps(body)))

    def identity(self) -> dict[str, Any]:
        """Return what has to agree for a run to go on, by the names that a message uses."""
        settings = {name.replace("_", " "): value for name, value in self.settings.items()}
        sites = [{**asdict(site), "aliases": None} for site in self.sites]
        return {
            "model": self.model,
            "weights": self.weights,
            "preprocessing": self.preprocessing,
            "data set": self.dataset,
            "sites": json.loads(json.dumps(sites)),
            **settings,
        }

    def check_same(self, wanted: Manifest, where: object) -> None:
        """Refuse to go on with a store of something else.

        Raises
        ------
        StoreMismatch
            Naming everything that differs.
        """
        ours, theirs = self.identity(), wanted.identity()
        differs = tuple(name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
        if not differs:
            return
        told = ", ".join(_told(name, ours.get(name), theirs.get(name)) for name in differs)
        error = StoreMismatch(
            f"{where} was made with another {told}; give store= another name, or delete it to "
            f"make it anew."
        )
        error.differs = differs
        raise error


def read_manifest(place: Place) -> Manifest | None:
    """Read and check a manifest; None where there is none."""
    try:
        data = place.read(MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return parse_manifest(data, place)


def parse_manifest(data: bytes, where: object) -> Manifest:
    """Turn the file back into a manifest.

    Raises
    ------
    BadStore
        If it is of a newer version, was changed since it was written, or is no manifest.
    """
    body = verified(data, f"{MANIFEST} of {where}")
    try:
        if body.pop("format") != "lens-store":
            raise ValueError
        body.pop("version")
        sites = tuple(
            StoredSite(
                **{
                    **site,
                    "shape": tuple(site["shape"]),
                    "grid": _pair(site["grid"]),
                    "aliases": tuple(site["aliases"]),
                }
            )
            for site in body.pop("sites")
        )
        return Manifest(**body, sites=sites)
    except (KeyError, TypeError, ValueError) as error:
        raise BadStore(
            f"{MANIFEST} of {where} does not describe a store of this library."
        ) from error


def verified(data: bytes, what: str) -> dict[str, Any]:
    """Read a JSON file that carries its own checksum.

    Raises
    ------
    BadStore
        If it is of a newer version, no JSON object, or not as it was written.
    """
    try:
        body = json.loads(data)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadStore(f"{what} cannot be read: it is no JSON, or was cut short.") from error
    if not isinstance(body, dict):
        raise BadStore(f"{what} cannot be read: it holds no JSON object.")
    version = body.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise BadStore(
            f"{what} is of version {version} of the layout, and this lens reads up to version "
            f"{VERSION}; install a newer lens."
        )
    told = body.pop("checksum", None)
    if told != _digest(body):
        raise BadStore(
            f"{what} was changed since it was written, its checksum does not fit; put the old one "
            f"back, or make the store anew."
        )
    return body


def checked(body: Mapping[str, Any]) -> bytes:
    """Return a JSON file that carries its own checksum."""
    whole = {**body, "checksum": _digest(body)}
    return (json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()


def canonical(value: Any) -> bytes:
    """Return the one JSON spelling of a value, for checksums."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(body)).hexdigest()[:32]


def _told(name: str, ours: Any, theirs: Any) -> str:
    if name == "data set":
        if ours["count"] != theirs["count"]:
            return f"data set ({ours['count']:,} inputs, not {theirs['count']:,})"
        return "data set (the names, sizes, dates or contents of its inputs differ)"
    if name == "sites":
        names = [", ".join(site["name"] for site in sites or ()) for sites in (ours, theirs)]
        return f"choice of sites ({names[0]}, not {names[1]})" if names[0] != names[1] else "sites"
    if name in ("weights", "preprocessing"):
        return name
    return f"{name} ({ours!r}, not {theirs!r})"


def _pair(grid: Any) -> tuple[int, int] | None:
    return None if grid is None else (int(grid[0]), int(grid[1]))
