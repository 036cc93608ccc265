"""Names of sites as names of folders, whatever characters they have."""

from __future__ import annotations

from urllib.parse import quote, unquote

__all__ = ["folder_of", "site_of"]

# What every file system and object store takes as it is; a module's name may hold anything else.
_PLAIN = "-_."


def folder_of(site: str) -> str:
    """Return the folder of a site: its name, with other than plain characters as ``%xx``."""
    quoted = quote(site, safe=_PLAIN)
    # "." and ".." would be other places; "~" is what a shell takes for a home.
    quoted = quoted.replace("~", "%7E")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def site_of(folder: str) -> str:
    """Undo `folder_of`."""
    return unquote(folder)
