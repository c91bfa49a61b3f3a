"""Every code block of README and docs: Python makes tasks and DAGs, commands can be parsed, settings exist."""

import ast
import configparser
import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from airflow.providers.common.compat.sdk import DAG, dag, task
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from support.airflow_versions import Serialization
from support.command_lines import SETTINGS, parse_command
from sybil import Example
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser

import airflow_provider_audiences

ROOT = Path(airflow_provider_audiences.__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^ *```(.+)$", re.MULTILINE)
OUTPUT = {"text", "mermaid"}
"""Blocks that nobody types: output, and diagrams."""
COMPILED_ONLY = {"airflow.providers.google", "airflow.providers.slack", "kubernetes"}
"""What blocks import that is not here, since the services behind it are not: such blocks are compiled, and not run."""
NEWER = {
    "airflow.sdk": (3, 0),
    "airflow.providers.standard.operators.hitl": (3, 1),
    "airflow_provider_audiences.task_groups.applovin": (3, 1),
}
"""What blocks import that only some releases of Airflow have; the pages say so."""
LEDGER = 'folder = Path("/opt/airflow/audiences/'
"""In a block that needs an audience's ledger: test_quick_start.py runs it."""
MODULES = (
    *("operators.applovin", "operators.applovin_sync", "operators.applovin_suppression", "operators.applovin_changes"),
    *("operators.pai", "operators.pai_refresh", "operators.pai_sync"),
    *("sensors.applovin", "sensors.pai", "sources", "assets.applovin"),
)
"""Their public names are known to blocks that show a part of a DAG."""

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def _public_names() -> dict[str, Any]:
    names: dict[str, Any] = {"UTC": UTC, "datetime": datetime, "timedelta": timedelta, "dag": dag, "task": task}
    for name in MODULES:
        module = vars(importlib.import_module(f"airflow_provider_audiences.{name}"))
        names |= {key: value for key, value in module.items() if key[0].isupper() or key.endswith("_asset")}
    return names


def _tasks_before(names: dict[str, Any]) -> dict[str, Any]:
    """Return what a part of a DAG takes from the tasks before it."""
    return {
        "audience": names["AppLovinCreateAudienceOperator"](task_id="_audience", name="A", platform="ios"),
        "plan": names["AppLovinSyncAudienceOperator"](
            task_id="_plan", audience_id="fce0", source="/data/", plan_only=True
        ),
        "files": ["/data/a.txt", "/data/b.txt"],
        "audiences": [{"audience_id": "fce0", "source": "/data/a.txt"}],
        "data_frame": pl.DataFrame({"idfa": []}),
        "my_dag": None,
    }


def _with_calls(source: str) -> str:
    """Return a block in which the functions that make a DAG are called, as most blocks do themselves."""
    tree = ast.parse(source)
    calls = {ast.unparse(node) for node in tree.body if isinstance(node, ast.Expr)}
    made = [
        f"{node.name}()"
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(by).startswith("dag(") for by in node.decorator_list)
    ]
    return "\n".join([source, *(call for call in made if call not in calls)])


def _run_python(example: Example) -> None:
    source, page = str(example.parsed), Path(example.path)
    if source.startswith("--8<--"):
        assert (ROOT / source.split('"')[1]).is_file()
        return
    # Airflow wants to read the code of DAGs.
    file = example.namespace["_folder"] / f"{page.stem}_{example.line}.py"
    file.write_text(_with_calls(source))
    code = compile(file.read_text(), str(file), "exec")
    absent = COMPILED_ONLY | {name for name, since in NEWER.items() if get_base_airflow_version_tuple() < since}
    if LEDGER in source or any(re.search(rf"^from {name}[. ]", source, re.MULTILINE) for name in absent):
        return
    names = example.namespace
    with DAG(f"{page.stem}_{example.line}", schedule=None) as block:
        names |= _tasks_before(names) | {"__file__": str(file)}
        exec(code, names)  # noqa: S102 - our own documentation
    for made in [block, *(value for value in names.values() if isinstance(value, DAG))]:
        Serialization.to_dict(made)


def _parse_commands(example: Example) -> None:
    for line in str(example.parsed).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = next((place for place, word in enumerate(words) if word in {"&&", "&"}), len(words))
            parse_command(words[:end])
            words = words[end + 1 :]


def _parse_settings(example: Example) -> None:
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes="#")
    parser.read_string(str(example.parsed))
    assert parser.sections() == ["audiences"]
    assert set(parser["audiences"]) <= SETTINGS


def _parse_json(example: Example) -> None:
    json.loads(str(example.parsed))


def _parse_yaml(example: Example) -> None:
    yaml.safe_load(str(example.parsed))


def _find_sql(example: Example) -> None:
    """SQL is in files of their own, which tests/integration/test_changes_sql.py runs."""
    (file,) = re.findall(r'^--8<-- "(docs/sql/.+[.]sql)"$', str(example.parsed), re.MULTILINE)
    assert (ROOT / file).is_file()


EVALUATORS: dict[str, Callable[[Example], None]] = {
    "python": _run_python,
    "bash": _parse_commands,
    "shell": _parse_commands,
    "ini": _parse_settings,
    "json": _parse_json,
    "yaml": _parse_yaml,
    "sql": _find_sql,
}


def _examples(page: Path, folder: Path) -> Iterator[Example]:
    """Yield a page's blocks; what one of them defines is known to those after it."""
    parsers = [CodeBlockParser(language=language, evaluator=run) for language, run in EVALUATORS.items()]
    document = Document.parse(str(page), *parsers)
    document.namespace.update(_public_names(), _folder=folder)
    yield from document.examples()


@by_page
def test_each_block_does_what_it_can_without_a_run(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if get_base_airflow_version_tuple() < (3, 0):  # which looks up aliases of datasets when it stores a DAG
        request.getfixturevalue("airflow_database")
    for example in _examples(page, tmp_path):
        try:
            example.evaluate()
        except Exception as error:
            error.add_note(f"in the block of {page.name}, line {example.line}")
            raise


@by_page
def test_each_block_says_what_it_is(page: Path) -> None:
    assert set(FENCE.findall(page.read_text())) <= OUTPUT | EVALUATORS.keys()


@pytest.mark.parametrize("name", sorted(COMPILED_ONLY))
def test_what_is_compiled_only_can_not_be_run(name: str) -> None:
    with pytest.raises(ImportError):
        importlib.import_module(name)


def test_extras_that_are_named_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    texts = "\n".join(page.read_text() for page in PAGES)
    groups = re.findall(r"(?:\.|\$\{CLONE\}|airflow-provider-audiences)\[([\w,]+)\]", texts)
    named = {name for group in groups for name in group.split(",")}
    assert {"emulator", "alibaba"} <= named <= extras.keys()
