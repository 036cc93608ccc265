"""Print the addresses at which Binder opens this repository, made from where it was cloned from.

    python binder/link.py                                   # of `git remote get-url origin`
    python binder/link.py https://github.com/you/your-copy  # of another address

Binder opens what is public: GitHub, GitLab, gists, and any other git server by its whole address.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

BINDER = "https://mybinder.org/v2"
#: What there is to open, and where it stands in JupyterLab.
PLACES = {
    "a page that needs no kernel": "static/lens/index.html",
    "the Microscope": "static/lens/microscope/index.html",
    "the first notebook": "lab/tree/notebooks/01_first_look.ipynb",
}
# git@host:owner/name, as ssh has it without a scheme.
_SHORT = re.compile(r"^(?:[\w.-]+@)?([\w.-]+\.[\w-]+):(?!//)(.+)$")


def links(address: str, ref: str = "HEAD") -> dict[str, str]:
    """Give the address of each place of a repository on Binder.

    Raises
    ------
    ValueError
        For what is no address on a server, such as a folder of this machine.
    """
    start = f"{BINDER}/{_repository(address)}/{quote(ref, safe='')}"
    return {name: f"{start}?urlpath={quote(path, safe='')}" for name, path in PLACES.items()}


def _repository(address: str) -> str:
    """Name a repository as Binder does."""
    short = _SHORT.match(address.strip())
    url = urlsplit(f"ssh://{short[1]}/{short[2]}" if short else address.strip())
    host = (url.hostname or "").lower()
    path = url.path.strip("/").removesuffix(".git")
    if url.scheme not in ("http", "https", "ssh", "git") or "." not in host or not path:
        raise ValueError(
            f"{address!r} is no public address: put the repository on a server such as GitHub or "
            f"GitLab, then give its address, python binder/link.py https://..."
        )
    parts = path.split("/")
    if host in ("github.com", "www.github.com") and len(parts) == 2:
        return f"gh/{quote(parts[0])}/{quote(parts[1])}"
    if host in ("gitlab.com", "www.gitlab.com") and len(parts) > 1:
        return f"gl/{quote(path, safe='')}"
    if host == "gist.github.com" and len(parts) == 2:
        return f"gist/{quote(parts[0])}/{quote(parts[1])}"
    # No name or password of whoever cloned it goes along.
    port = f":{url.port}" if url.port and url.scheme in ("http", "https") else ""
    scheme = url.scheme if url.scheme in ("http", "https") else "https"
    return f"git/{quote(f'{scheme}://{host}{port}/{path}', safe='')}"


def origin() -> str:
    """Tell where this repository was cloned from.

    Raises
    ------
    ValueError
        Where it was not cloned from anywhere.
    """
    told = subprocess.run(
        ["git", "remote", "get-url", "origin"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        raise ValueError(
            "This folder has no git remote called origin; give an address, "
            "python binder/link.py https://github.com/you/your-copy"
        )
    return told.stdout.strip()


def main() -> int:
    """Print the links, or say why there are none."""
    try:
        found = links(sys.argv[1] if len(sys.argv) > 1 else origin())
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    for name, link in found.items():
        print(f"{name}:\n  {link}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
