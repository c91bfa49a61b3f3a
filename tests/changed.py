"""
Names the test files of what has changed since a commit: ``make check`` runs them.

``python tests/changed.py [COMMIT]`` compares the files here with a commit, by default the last one. A module's tests
are the files of its name, or else those that import it, or else those of its folder.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PACKAGE = "airflow_provider_audiences"


def files_for(changed: Iterable[str]) -> list[str]:
    """
    Return the test files of changed files.

    :param changed: paths of the files, relative to the repository.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py"))}
    found: set[Path] = set()
    for name in changed:
        path = ROOT / name
        if path in texts:
            found.add(path)
        elif path.suffix == ".py" and name.startswith(("tests/support/", f"{_PACKAGE}/")):
            found |= _of_module(path, texts)
    return sorted(str(path.relative_to(ROOT)) for path in found)


def _of_module(path: Path, texts: dict[Path, str]) -> set[Path]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    dotted = ".".join(parts[1:] if parts[0] == "tests" else parts).removesuffix(".__init__")
    package, _, module = dotted.rpartition(".")
    imports = re.compile(rf"{re.escape(dotted)}\b|from {re.escape(package)} import [^\n]*\b{re.escape(module)}\b")
    named = {test for test in texts if test.name == f"test_{path.name}" and set(test.parent.parts) >= set(parts[1:-1])}
    importing = {test for test, text in texts.items() if imports.search(text)}
    folder = ROOT / "tests" / Path(*parts[1:-1])
    return named or importing or {test for test in texts if folder == test.parent}


def _changed_since(commit: str = "HEAD") -> list[str]:
    def git(*arguments: str) -> list[str]:
        done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    return [*git("diff", "--name-only", commit), *git("ls-files", "--others", "--exclude-standard")]


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in files_for(_changed_since(*sys.argv[1:2])))
