"""Find Chromium, or install it from the system's packages: ``python tests/browser/chromium.py``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# The system's own package manager, and what it calls the browser.
MANAGERS = (
    ("apt-get", [["apt-get", "update"], ["apt-get", "install", "--yes", "chromium"]]),
    ("dnf", [["dnf", "install", "--assumeyes", "chromium"]]),
    ("pacman", [["pacman", "--sync", "--noconfirm", "chromium"]]),
    ("brew", [["brew", "install", "--cask", "chromium"]]),
)


def find() -> str | None:
    """The browser's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def install() -> None:
    """Install the browser with the first package manager that is there."""
    for manager, commands in MANAGERS:
        if shutil.which(manager):
            asks = manager != "brew" and os.geteuid() != 0
            for command in commands:
                subprocess.run([*(["sudo"] if asks else []), *command], check=True)
            return
    managers = ", ".join(name for name, _ in MANAGERS)
    sys.exit(f"The browser tests drive Chromium: install it by hand (looked for {managers}).")


if __name__ == "__main__":
    if find() is None:
        install()
    print(find() or sys.exit("Chromium was installed, but it is not on the PATH."))
