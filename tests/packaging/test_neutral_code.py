"""No platform is named in code that is for all platforms: there, a new platform must need no edit."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_audiences
from airflow_provider_audiences.common.targets import OWN_KINDS

ROOT = Path(airflow_provider_audiences.__file__).parent
OF_PLATFORMS = (
    *("platforms/", "emulator/"),
    "common/targets.py",  # the table of platforms
    *("common/connection_fields.py", "get_provider_info.py"),  # what Airflow is told of each
    "common/pai/",
    *("exceptions.py", "operators/arguments.py"),  # public errors and types, some of one platform
)
"""Files and folders that are of platforms, beside the files that are named after one."""

NAMES = tuple(dict.fromkeys(kind.platform.name for kind in OWN_KINDS))


def _is_of_platform(path: str) -> bool:
    stem = path.rpartition("/")[2]
    return path.startswith(OF_PLATFORMS) or any(name in stem.removesuffix(".py").split("_") for name in NAMES)


NEUTRAL = sorted(
    path for path in (found.relative_to(ROOT).as_posix() for found in ROOT.rglob("*.py")) if not _is_of_platform(path)
)


def _docstrings(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _named(tree: ast.AST) -> Iterator[str]:
    """Names and texts of the code; docstrings may name a platform as an example."""
    left_out = set(_docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in left_out:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", NEUTRAL)
def test_code_for_all_platforms_names_none(path: str) -> None:
    words = {word.lower() for text in _named(ast.parse((ROOT / path).read_text("utf-8"))) for word in _words(text)}
    assert not words & set(NAMES)


def _words(text: str) -> list[str]:
    """Words of a name or a text; ``AppLovinHook`` has the word ``AppLovin``."""
    found = re.sub(r"Pai(?![a-z])", " pai ", text.replace("AppLovin", " applovin "))
    return "".join(sign if sign.isalpha() else " " for sign in found).split()


def test_the_rule_would_find_a_name() -> None:
    assert "sync/audience_sync.py" in NEUTRAL
    assert "task_groups/approval.py" in NEUTRAL
    assert "task_groups/applovin.py" not in NEUTRAL
    tree = ast.parse('"""applovin"""\nx = client.applovin_conn_id or "AppLovin says"')
    assert [word for text in _named(tree) for word in _words(text) if word in NAMES] == ["applovin", "applovin"]
