"""``.airflow-registry.yaml``, by which a registry of Airflow providers lists this package: it names what is public."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.providers.common.compat.sdk import BaseHook, BaseNotifier, BaseOperator, BaseSensorOperator

import airflow_provider_audiences
from airflow_provider_audiences.get_provider_info import get_provider_info

ROOT = Path(airflow_provider_audiences.__file__).parents[1]
BASES: dict[str, type[Any]] = {"operators": BaseOperator, "sensors": BaseSensorOperator, "hooks": BaseHook}


def registry() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / ".airflow-registry.yaml").read_text("utf-8"))
    return content


def summary_of(found: Any) -> str:
    """The first sentence of a docstring, without its full stop."""
    return " ".join(str(inspect.getdoc(found)).partition("\n\n")[0].split()).removesuffix(".")


def public_classes(kind: str) -> dict[str, str]:
    """Return the public classes of the modules that Airflow is told of, by import path, with their summaries."""
    names = [name for entry in get_provider_info()[kind] for name in entry["python-modules"]]
    found = {}
    for module in map(importlib.import_module, names):
        for name, value in vars(module).items():
            is_ours = inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
            if is_ours and issubclass(value, BASES[kind]):
                found[f"{module.__name__}.{name}"] = summary_of(value)
    return found


@pytest.mark.parametrize("kind", BASES)
def test_it_names_all_that_is_public(kind: str) -> None:
    assert {entry["module"]: entry["description"] for entry in registry()[kind]} == public_classes(kind)


def test_what_it_names_besides_is_there() -> None:
    content = registry()
    for entry in (*content["notifications"], *content["other"]):
        module, _, name = entry["module"].rpartition(".")
        assert summary_of(getattr(importlib.import_module(module), name)) == entry["description"]
    for entry in content["notifications"]:
        module, _, name = entry["module"].rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), name), BaseNotifier)


def test_it_says_what_the_provider_says() -> None:
    content, info = registry(), get_provider_info()
    assert (content["package-name"], content["description"]) == (info["package-name"], info["description"])
    assert set(content) == {"package-name", "display-name", "description", "notifications", "other", *BASES}
