"""What the tests of the sensors share."""

import json
import types

import pytest


class _TaskInstance(types.SimpleNamespace):
    """The part of a task instance that our sensors use; what it is given to push is in ``pushed``."""

    def xcom_push(self, key, value):
        self.pushed[key] = value


@pytest.fixture
def pushed():
    """What tasks of this test have pushed, by key."""
    return {}


class _StateStore:
    """What outlives a process of a try, from Airflow 3.3 on; in JSON."""

    def __init__(self):
        self.kept = {}

    def get(self, key, default=None):
        return json.loads(self.kept.get(key, json.dumps(default)))

    def set(self, key, value):
        self.kept[key] = json.dumps(value)


@pytest.fixture
def state_store():
    return _StateStore()


@pytest.fixture
def task_context(pushed, state_store):
    """Makes the part of a task's context that our operators and sensors read: ``task_context(try_number=2)``."""

    def make(**changes):
        identity = {"try_number": 1, "dag_id": "dag", "task_id": "task", "run_id": "run", "map_index": -1}
        ti = _TaskInstance(**(identity | {"max_tries": 0} | changes), pushed=pushed)
        return {"ti": ti, "task_state_store": state_store}

    return make
