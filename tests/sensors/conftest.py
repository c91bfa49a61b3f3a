"""What the tests of the sensors share."""

import json
import types
from typing import Any

import pytest
from support.fixtures import MakeContext


class _TaskInstance(types.SimpleNamespace):
    """The part of a task instance that our sensors use; what it is given to push is in ``pushed``."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def pushed() -> dict[str, Any]:
    """What tasks of this test have pushed, by key."""
    return {}


class _StateStore:
    """What outlives a process of a try, from Airflow 3.3 on; in JSON."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.kept.get(key, json.dumps(default)))

    def set(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value)


@pytest.fixture
def state_store() -> Any:
    return _StateStore()


@pytest.fixture
def task_context(pushed: dict[str, Any], state_store: Any) -> MakeContext:
    """Makes the part of a task's context that our operators and sensors read: ``task_context(try_number=2)``."""

    def make(**changes: Any) -> dict[str, Any]:
        identity = {"try_number": 1, "dag_id": "dag", "task_id": "task", "run_id": "run", "map_index": -1}
        ti = _TaskInstance(**(identity | {"max_tries": 0} | changes), pushed=pushed)
        return {"ti": ti, "task_state_store": state_store}

    return make
