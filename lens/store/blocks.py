"""The journal: one record a block, written when all of the block's files are there.

A block without its record has not been made. So a run that was killed, at whatever moment, goes on
with the blocks that have none, and writes over what it had begun.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lens.errors import BadStore
from lens.store.layout import Arrays, Layout
from lens.store.manifest import checked, verified
from lens.store.place import Place
from lens.store.shard import crc

__all__ = [
    "Made",
    "Record",
    "damage",
    "damaged",
    "labels_name",
    "make",
    "parse_record",
    "read_labels",
    "read_record",
    "record_name",
    "recorded",
    "unsound",
    "write",
]

_RECORD = re.compile(r"([0-9]{8})\.json")


@dataclass(frozen=True)
class Record:
    """What is told about a finished block.

    Attributes
    ----------
    block : int
        Which.
    chunks : dict of str to str
        The crc32c of each of its files, in hexadecimal digits.
    skipped : list of (int, str, str)
        Rows without values: the row, its label, and why.
    positions : list of int or None
        For texts, the token that each row is read at.
    """

    block: int
    chunks: dict[str, str]
    skipped: list[tuple[int, str, str]]
    positions: list[int] | None = None


@dataclass(frozen=True)
class Made:
    """A block as files: what is written first, and the record that is written last."""

    block: int
    files: dict[str, bytes]
    record: bytes


def record_name(block: int) -> str:
    """Return the path of a block's record inside the store."""
    return f"blocks/{block:08d}.json"


def labels_name(block: int) -> str:
    """Return the path of the labels of a block's inputs."""
    return f"inputs/{block:08d}.json"


def make(
    layout: Layout,
    block: int,
    columns: Mapping[str, Arrays],
    labels: Sequence[str],
    skipped: Sequence[tuple[int, str, str]],
    positions: Sequence[int] | None = None,
) -> Made:
    """Turn the values of a block, its labels and what was skipped into files."""
    files = layout.encode(block, columns)
    files[labels_name(block)] = (json.dumps(list(labels), indent=0) + "\n").encode()
    body: dict[str, Any] = {
        "block": block,
        "chunks": {name: crc(data).hex() for name, data in files.items()},
        "skipped": [list(row) for row in skipped],
        "positions": None if positions is None else [int(p) for p in positions],
    }
    return Made(block, files, checked(body))


def write(place: Place, made: Made) -> None:
    """Write a block: its files, then its record."""
    for name, data in made.files.items():
        place.write(name, data)
    place.write(record_name(made.block), made.record)


def recorded(place: Place, layout: Layout) -> list[int]:
    """Return the blocks that have a record, in order."""
    found = (_RECORD.fullmatch(name) for name in place.listed("blocks"))
    return sorted(n for match in found if match and (n := int(match[1])) < layout.n_blocks)


def read_record(place: Place, block: int) -> Record:
    """Read and check the record of a block."""
    return parse_record(place.read(record_name(block)), block, place)


def parse_record(data: bytes, block: int, where: object) -> Record:
    """Turn the file of a record back into it.

    Raises
    ------
    BadStore
        If it is damaged, was edited, or belongs to another block.
    """
    what = f"{record_name(block)} of {where}"
    body = verified(data, what)
    try:
        if body["block"] != block:
            raise ValueError
        chunks = {str(name): str(told) for name, told in body["chunks"].items()}
        skipped = [(int(row), str(label), str(why)) for row, label, why in body["skipped"]]
        positions = body["positions"]
        return Record(
            block, chunks, skipped, None if positions is None else [int(p) for p in positions]
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadStore(f"{what} does not describe that block.") from error


def read_labels(place: Place, block: int) -> list[str]:
    """Read what the rows of a block are called."""
    try:
        return [str(label) for label in json.loads(place.read(labels_name(block)))]
    except (FileNotFoundError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise damage(place, labels_name(block)) from error


def unsound(place: Place, layout: Layout, blocks: Sequence[int]) -> list[tuple[int, str]]:
    """Return blocks of which a file is missing or cut short, and the file: sizes alone are read."""
    bad = []
    for array in layout.arrays():
        names = ((block, array.chunk_name(block)) for block in blocks)
        bad += [(b, name) for b, name in names if place.size(name) != array.chunk_bytes]
    labels = place.listed("inputs")
    bad += [(b, labels_name(b)) for b in blocks if not labels.get(labels_name(b).split("/")[1], 0)]
    return bad


def damaged(place: Place, layout: Layout, blocks: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yield blocks of which a file is not as it was written, and the file; all is read."""
    for block in blocks:
        try:
            record = read_record(place, block)
        except BadStore:
            yield block, record_name(block)
            continue
        wanted = {array.chunk_name(block) for array in layout.arrays()} | {labels_name(block)}
        for name in sorted(wanted):
            try:
                told = crc(place.read(name)).hex()
            except (FileNotFoundError, NotADirectoryError):
                told = None
            if told is None or told != record.chunks.get(name):
                yield block, name


def damage(place: Place, name: str) -> BadStore:
    """Return the error that names a damaged file and says what to do."""
    return BadStore(
        f"{name} of {place} is damaged or missing; "
        f"`lens.store.open({place.name!r}).drop_damaged()` forgets such blocks, and the same "
        f"lens.capture again makes them anew."
    )
