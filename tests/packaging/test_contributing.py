"""What contributors are told to run, read and edit is there: make targets, programs, files, tests."""

import configparser
import functools
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import airflow_provider_audiences

PACKAGE = Path(airflow_provider_audiences.__file__).parent
ROOT = PACKAGE.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/*.md")])
NAMING_FILES = ("CONTRIBUTING.md", ".github/pull_request_template.md", "docs/guarantees.md")
FOR_CONTRIBUTORS = [ROOT / name for name in NAMING_FILES]
FENCE = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
MAKE = re.compile(r"(?:[A-Z_]+=\S+ )*make(?: |$)")
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?(?:::\w+)?")
FOLDERS = ("airflow_provider_audiences", "benchmarks", "dags_examples", "demo", "docs", "tests")
FILE_ENDINGS = {".md", ".py", ".toml", ".txt", ".yaml", ".yml"}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def _rules() -> dict[str, str]:
    """Return each target of the Makefile, and the part of make's own database that is about it."""
    of_outer_make = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in of_outer_make}
    printed = subprocess.run(
        ["make", "--print-data-base", "--question", "--no-builtin-rules", "--no-builtin-variables"],
        cwd=ROOT,
        env=environment | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout
    rules = [block for block in printed.partition("\n# Files\n")[2].split("\n\n") if "# Not a target:" not in block]
    return {rule.strip().partition(":")[0]: rule for rule in rules if re.match(r"[\w./-]+:", rule.strip())}


def _code(path: Path) -> list[str]:
    """Return the lines of code in a Markdown file, without comments, and what stands between backticks."""
    text = path.read_text()
    fenced = [line for block in FENCE.findall(text) for line in block.splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
    return [line.partition(" #")[0].strip() for line in fenced + spans]


def _targets(command: str) -> set[str]:
    """Return the targets of a command, none if it is not one of make."""
    if not MAKE.match(command):
        return set()
    return {word for word in shlex.split(command) if "=" not in word} - {"make"}


def _targets_of(path: Path) -> set[str]:
    return {target for line in _code(path) for target in _targets(line)}


def _has_program(name: str) -> bool:
    """Return whether the environment that runs this has a program."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) is not None


def _is_there(word: str) -> bool:
    """Return whether a path is one of the repository, or of the package in it, and has the test it may name."""
    name, _, test = word.partition("::")
    found = [folder / name for folder in (ROOT, PACKAGE) if (folder / name).exists()]
    return bool(found) and (not test or f"def {test}(" in found[0].read_text())


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_make_targets_that_are_named_exist(path: Path) -> None:
    assert _targets_of(path) - set(_rules()) == set()


def test_contributors_are_told_of_each_target_that_tests() -> None:
    tests = {target for target in _rules() if target.startswith("test")}
    assert {"test", "test-airflow3"} <= tests <= _targets_of(ROOT / "CONTRIBUTING.md")


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_links_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", FENCE.sub("", path.read_text()))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", FOR_CONTRIBUTORS, ids=_name)
def test_files_and_tests_that_are_named_exist(path: Path) -> None:
    made = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    words = [word for line in _code(path) for word in line.split() if PATH.fullmatch(word)]
    paths = [word for word in words if "/" in word or Path(word.partition("::")[0]).suffix in FILE_ENDINGS]
    assert len(paths) > 1
    assert [word for word in paths if word.partition("/")[0] not in made and not _is_there(word)] == []


def test_programs_that_are_named_are_installed() -> None:
    commands = "\n".join(_code(ROOT / "CONTRIBUTING.md"))
    programs = set(re.findall(r"^\.venv[\w-]*/bin/(\S+)", commands, re.MULTILINE))
    assert {"python", "mypy"} <= programs
    assert {name for name in programs if not _has_program(name)} == set()


def test_hooks_before_a_commit_are_tools_of_the_environment() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    programs = {hook["entry"].split()[0] for hook in hooks} - {"git"}
    assert programs == {f".venv/bin/{name}" for name in ("ruff", "mypy", "lint-imports")}
    assert all(_has_program(Path(program).name) for program in programs)


def _workflow_commands() -> list[str]:
    """Return what the steps of all jobs run, once for each combination of a job's matrix."""
    commands: list[str] = []
    for job in yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values():
        matrix: dict[str, list[str]] = job.get("strategy", {}).get("matrix", {})
        for values in itertools.product(*matrix.values()):
            for command in [step["run"] for step in job["steps"] if "run" in step]:
                filled = command
                for name, value in zip(matrix, values, strict=True):
                    filled = filled.replace(f"${{{{ matrix.{name} }}}}", value)
                commands.append(filled)
    return commands


def test_the_workflow_runs_make_targets_and_nothing_else() -> None:
    targets = [_targets(command) for command in _workflow_commands()]
    assert all(targets)
    named = set().union(*targets)
    assert named <= set(_rules())
    assert set(re.findall(r"\$\(MAKE\) (\S+)", _rules()["test"])) <= named


def test_the_workflow_tries_each_python_that_is_declared() -> None:
    declared = re.findall(r"Python :: (\d\.\d+)", "\n".join(PYPROJECT["project"]["classifiers"]))
    tried = re.findall(r"--python (\S+)\"", "\n".join(_workflow_commands()))
    assert tried == declared


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_forms_of_issues_ask_for_each_thing_once(name: str) -> None:
    form: dict[str, Any] = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text())
    assert {"name", "description", "body"} <= set(form)
    asked = [element["id"] for element in form["body"] if element["type"] != "markdown"]
    assert len(asked) == len(set(asked))
    assert "left-out" in asked


def test_editors_break_lines_where_ruff_does() -> None:
    editors = configparser.ConfigParser()
    editors.read_string(f"[top]\n{(ROOT / '.editorconfig').read_text()}")
    assert int(editors["*.py"]["max_line_length"]) == PYPROJECT["tool"]["ruff"]["line-length"]


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"}
    assert not [page for page in pages if f"({page})" not in index]


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_no_page_has_a_gap(page: Path) -> None:
    assert "<!--" not in page.read_text(encoding="utf-8")


def test_documents_name_modules_that_exist() -> None:
    """A module may be named by the end of its path; examples in code blocks name files of the reader."""
    files = [f"/{path.relative_to(ROOT).as_posix()}" for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    named = {
        (_name(path), name)
        for path in DOCUMENTS
        for name in re.findall(r"`([\w/]+\.py)`", FENCE.sub("", path.read_text()))
        if not name.startswith("airflow/dags/")  # of the reader
    }
    assert len(named) > 40
    missing = sorted((where, name) for where, name in named if not any(file.endswith(f"/{name}") for file in files))
    assert missing == [("docs/architecture.md", "members/identifiers/hashed_email.py")], "that one is to be written"
