"""What pages say of the code is so: messages that users search for, public names in the reference."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import airflow_provider_audiences
from airflow_provider_audiences.get_provider_info import get_provider_info

PACKAGE = Path(airflow_provider_audiences.__file__).parent
DOCS = PACKAGE.parent / "docs"


def _messages() -> Iterator[str]:
    """Yield all texts of the package; what is put into them is a dot."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value.replace("%s", "…")


def test_messages_to_search_for_are_those_of_the_code() -> None:
    page = (DOCS / "troubleshooting.md").read_text()
    texts = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(texts) > 40
    code = list(_messages()) + re.findall(r"^class (\w+)", (PACKAGE / "exceptions.py").read_text(), re.MULTILINE)
    parts = {text: [part.strip() for part in text.split("…") if part.strip()] for text in texts}
    assert [text for text, known in parts.items() if not any(all(p in said for p in known) for said in code)] == []


def test_each_example_is_shown() -> None:
    shown = re.findall(r'^--8<-- "dags_examples/(.+)"$', (DOCS / "examples.md").read_text(), re.MULTILINE)
    assert sorted(shown) == sorted(path.name for path in (DOCS.parent / "dags_examples").glob("*.py"))


def test_models_are_told_of_each_page() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", (DOCS.parent / "llms.txt").read_text())
    assert [path for path in linked if not (DOCS.parent / path).is_file()] == []
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} - set(linked) == {"docs/changelog.md"}


def test_the_reference_has_each_public_class() -> None:
    shown = _shown()
    missing = [f"{module}.{name}" for module, name in _public_classes() if f"{module}.{name}" not in shown]
    assert missing == []
    assert {name for name in shown if name.startswith("exceptions.")} == {
        f"exceptions.{name}" for name in _classes(PACKAGE / "exceptions.py")
    }


def test_the_reference_shows_no_roles_of_sphinx() -> None:
    docstrings = {}
    for module, _, name in (shown.rpartition(".") for shown in _shown()):
        path = PACKAGE / f"{module.replace('.', '/')}.py"
        for node in ast.parse(path.read_text()).body if path.is_file() else ():
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                docstrings[name] = ast.get_docstring(node) or ""
    assert "AppLovinSyncAudienceOperator" in docstrings
    assert [name for name, text in docstrings.items() if re.search(r":(class|data|func|meth):`", text)] == []


def _shown() -> set[str]:
    """Return module and name of all that the pages of the reference show."""
    pages = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    return set(re.findall(r"^::: airflow_provider_audiences\.(\S+)", pages, re.MULTILINE))


def _public_classes() -> Iterator[tuple[str, str]]:
    """Yield module and name of each class of the modules that the provider tells Airflow of."""
    information = get_provider_info()
    for kind in ("operators", "sensors", "hooks"):
        for module in [name for entry in information[kind] for name in entry["python-modules"]]:
            names = _classes(PACKAGE.parent / f"{module.replace('.', '/')}.py")
            suffix = kind.removesuffix("s").title()
            yield from ((module.partition(".")[2], name) for name in names if name.endswith(suffix))


def _classes(path: Path) -> list[str]:
    names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    return [name for name in names if not name.startswith("_")]
