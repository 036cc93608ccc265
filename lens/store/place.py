"""Where a store is: a folder of this machine, or any address that fsspec opens."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lens.errors import BadStore, NotWritten

__all__ = ["PARTIAL", "Place"]

#: Where files stand until they are whole.
PARTIAL = "partial"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Place:
    """The files of one store, by their names inside it.

    Parameters
    ----------
    path : str or Path
        A folder, or an address with a scheme such as ``s3://bucket/x.zarr``.
    """

    def __init__(self, path: str | Path) -> None:
        text = os.fspath(path)
        self.folder: Path | None = None
        self._remote: Any = None
        if "://" in text and not text.startswith("file://"):
            from fsspec.core import url_to_fs

            self._remote, self._root = url_to_fs(text)
        else:
            self.folder = Path(text.removeprefix("file://")).expanduser().absolute()
        self.name = text

    @property
    def address(self) -> str:
        """What plain zarr opens."""
        return self.name if self.folder is None else str(self.folder)

    # -- reading ---------------------------------------------------------------------------

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Return a file, or some of its bytes; fewer than asked for where it ends before.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        if self.folder is None:
            return self._remote.cat_file(f"{self._root}/{name}", start=start, end=stop)
        try:
            with (self.folder / name).open("rb", buffering=0 if start is not None else -1) as file:
                if start is None:
                    return file.read()
                file.seek(start)
                return file.read(-1 if stop is None else stop - start)
        except PermissionError as error:
            raise BadStore(f"{self.name} may not be read: there is no permission.") from error

    def has(self, name: str) -> bool:
        """Tell whether a file or folder exists."""
        if self.folder is None:
            return bool(self._remote.exists(f"{self._root}/{name}".rstrip("/")))
        return (self.folder / name).exists()

    def listed(self, name: str = "") -> dict[str, int]:
        """Return the files directly in a folder with their sizes, nothing where it is missing."""
        if self.folder is None:
            try:
                found = self._remote.ls(f"{self._root}/{name}".rstrip("/"), detail=True)
            except FileNotFoundError:
                return {}
            return {row["name"].rsplit("/", 1)[-1]: row["size"] or 0 for row in found}
        try:
            with os.scandir(self.folder / name) as entries:
                return {entry.name: entry.stat().st_size for entry in entries}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def size(self, name: str) -> int | None:
        """Return the bytes of a file; None where there is none."""
        try:
            if self.folder is None:
                return int(self._remote.size(f"{self._root}/{name}"))
            return (self.folder / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    # -- writing ---------------------------------------------------------------------------

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write a file as a whole: whoever looks sees the old one or the new one.

        Parameters
        ----------
        name, data
            Which file, and all of it.
        durable : bool
            Whether to wait until the disk has it, so that it outlives a power cut.

        Raises
        ------
        NotWritten
            If the disk is full or the place may not be written to.
        """
        with self.writing():
            if self.folder is None:
                # An object store shows a file when it is whole.
                self._remote.makedirs(f"{self._root}/{name}".rsplit("/", 1)[0], exist_ok=True)
                self._remote.pipe_file(f"{self._root}/{name}", data)
                return
            target = self.folder / name
            partial = self.folder / PARTIAL / name.replace("/", "~")
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb") as file:
                    file.write(data)
                    file.flush()
                    if durable:
                        os.fsync(file.fileno())
                partial.replace(target)
            except OSError:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)
                raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say in one sentence why something could not be written."""
        try:
            yield
        except OSError as error:
            if isinstance(error, NotWritten):
                raise
            if error.errno in _FULL:
                why = "the disk is full or its quota is used up; free some space"
            elif error.errno in _FORBIDDEN or isinstance(error, PermissionError):
                why = "there is no permission to write there; change it"
            elif isinstance(error, FileExistsError | NotADirectoryError):
                raise NotWritten(
                    f"{self.name} cannot be a store: there is a file where a folder has to be."
                ) from error
            else:
                why = f"{(error.strerror or str(error) or type(error).__name__).lower()}; mend it"
            raise NotWritten(
                f"{self.name} could not be written: {why} and run it again, it goes on where it "
                f"stopped (what was written stays usable)."
            ) from error

    def remove(self, name: str) -> None:
        """Delete a file if it is there."""
        with self.writing():
            if self.folder is not None:
                (self.folder / name).unlink(missing_ok=True)
            elif self._remote.exists(f"{self._root}/{name}"):
                self._remote.rm_file(f"{self._root}/{name}")

    def sweep(self) -> None:
        """Delete what a killed run had not finished writing."""
        if self.folder is not None:
            with self.writing():
                if (self.folder / PARTIAL).exists():
                    shutil.rmtree(self.folder / PARTIAL)

    def free(self) -> int | None:
        """Return the bytes that are free there; None where nothing tells."""
        if self.folder is None:
            return None
        there = self.folder
        while not there.exists():
            there = there.parent
        usage = shutil.disk_usage(there)
        return usage.free if usage.total else None  # such as /proc, which is no disk

    def __repr__(self) -> str:
        return self.name
