"""The folder that a web site is built in: whose it is, what was done, and whole files only."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lens.errors import BadInput, NotWritten, StoreBusy, StoreMismatch
from lens.microscope.plan import Plan, check_same
from lens.microscope.result import MANIFEST, read
from lens.store.lock import LOCK, writing_to
from lens.store.place import PARTIAL, Place

#: What a build keeps until it is done: responses, pictures, outlines.
PARTS = "parts"
_OURS = frozenset(
    [MANIFEST, LOCK, PARTIAL, PARTS, "assets", "img", "index.html", "search.html", "search.js",
     "compare.html"]
)  # fmt: skip


class Folder:
    """The files of one web site, by their names inside it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._place = Place(self.path)

    def claim(self, plan: Plan, overwrite: bool) -> bool:
        """Tell whether the web site is there already; refuse a folder that is not ours.

        Raises
        ------
        BadInput
            For a file, and for a folder with somebody else's files.
        StoreMismatch
            For a web site that was made of something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise BadInput(f"{self.path} is a file; a web site needs a folder.")
        found = read(self.path)
        if found is not None:
            return not self._other(found, plan, overwrite) and bool(found["finished"])
        if overwrite:
            return False
        strangers = sorted(p.name for p in self._listed() if p.name not in (LOCK, PARTIAL))
        if strangers:
            more = f" and {len(strangers) - 3} more" if len(strangers) > 3 else ""
            raise BadInput(
                f"{self.path} holds files that no microscope made ({', '.join(strangers[:3])}"
                f"{more}); give another folder, or overwrite=True to build among them."
            )
        return False

    @contextmanager
    def building(self, plan: Plan, overwrite: bool) -> Iterator[None]:
        """Be the only one who builds here; begin, or go on.

        Raises
        ------
        StoreBusy
            If another process is building here.
        """
        try:
            with writing_to(self._place):
                found = read(self.path)
                if found is not None and self._other(found, plan, overwrite):
                    self._clear()
                self._place.sweep()
                self.write(MANIFEST, _json(plan.manifest(finished=False)), durable=True)
                yield
        except StoreBusy as error:
            told = str(error).split(";")[0]
            raise StoreBusy(f"{told}; wait for it to end, or give another folder.") from error

    def finish(self, plan: Plan, left_out: Sequence[str]) -> None:
        """Say that all is there; what the build kept is not needed any more."""
        self.write(MANIFEST, _json(plan.manifest(finished=True, left_out=left_out)), durable=True)

    def sweep(self) -> None:
        """Delete what a finished build kept."""
        self._place.sweep()
        shutil.rmtree(self.path / PARTS, ignore_errors=True)

    # -- files ---------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Tell whether a file is there; those that are, are whole."""
        return (self.path / name).exists()

    def write(self, name: str, data: bytes | memoryview | str, *, durable: bool = False) -> None:
        """Write a file as a whole: whoever looks sees the old one or the new one.

        Raises
        ------
        NotWritten
            If the disk is full or the place may not be written to.
        """
        whole = data.encode("utf-8") if isinstance(data, str) else data
        try:
            self._place.write(name, whole, durable=durable)  # type: ignore[arg-type]
        except NotWritten as error:
            raise NotWritten(str(error).replace("cannot be a store", "cannot be built")) from error

    def read(self, name: str) -> bytes:
        """Return a file."""
        return (self.path / name).read_bytes()

    def keep(self, name: str, **arrays: Any) -> None:
        """Keep arrays for the rest of the build, whatever ends this process."""
        file = io.BytesIO()
        np.savez(file, **arrays)
        self.write(f"{PARTS}/{name}.npz", file.getbuffer(), durable=True)

    def keeps(self, name: str) -> bool:
        """Tell whether something was kept."""
        return (self.path / PARTS / f"{name}.npz").exists()

    def kept(self, name: str) -> dict[str, np.ndarray] | None:
        """Return what was kept; None where nothing was."""
        path = self.path / PARTS / f"{name}.npz"
        if not path.exists():
            return None
        with np.load(path) as found:
            return dict(found)

    def _other(self, found: dict[str, Any], plan: Plan, overwrite: bool) -> bool:
        """Tell whether a web site is another one than planned, where it may be overwritten."""
        try:
            check_same(found, plan, self.path)
        except StoreMismatch:
            if not overwrite:
                raise
            return True
        return False

    def _listed(self) -> list[Path]:
        return list(self.path.iterdir()) if self.path.is_dir() else []

    def _clear(self) -> None:
        """Delete an older web site, and nothing that is not its own."""
        with self._place.writing():
            for path in self._listed():
                if path.name == LOCK or not (path.name in _OURS or path.name.isdecimal()):
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
