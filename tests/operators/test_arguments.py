"""The same argument with the same odd value gets the same answer from every operator and sensor that has it."""

import json
import math
import uuid
from collections import defaultdict
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from support.fixtures import Connect, MakeContext
from support.operators import OPERATORS, arguments_of

from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError

ODD = ["0.1", " 0.1 ", "10%", 1.5, True, "None", "", math.nan]
VALID = {
    "applovin": {
        "audience_id": "a",
        "name": "n",
        "platform": "ios",
        "package_name": "p",
        "plan_id": "0" * 16,
        "source": ["1e1e1e1e-abcd-4000-8000-00000000feed"],
    },
    "pai": {"name": "n", "source": ["13900001111"], "group_id": "g"},
}
"""What operators need, by platform."""

_CHANGES = {"added": VALID["applovin"]["source"]}
INSTEAD: dict[str, dict[str, Any]] = {
    "AppLovinSendChangesOperator": _CHANGES,
    "AppLovinSendSuppressionChangesOperator": _CHANGES,
    "PaiCreateGroupOperator": {"source": 0, "text": "13900001111"},
    "PaiReplaceGroupOperator": {"source": 0, "text": "13900001111"},
    "PaiListGroupsOperator": {"source": 0},
}
BY_NAME = ("name", "platform", "package_name", "description", "audience_type")
"""Arguments of an audience that is not given by its id."""

OTHER_RULES = {
    ("applovin", "name"): "a list takes the name of any audience, and a new one only what the platform takes",
    ("applovin", "suppress"): "what is no member of a list is told as that of a source",
    ("pai", "source"): "a group's source is a number, and a sync's are members",
    ("pai", "name"): "a list takes the name of any group",
    ("pai", "remark"): "an empty one is none, but for a list, where it would mean all groups",
}
"""Arguments that mean different things."""


def platform_of(operator_class: type[Any]) -> str:
    return "pai" if operator_class.__name__.startswith("Pai") else "applovin"


def shared() -> dict[tuple[str, str], list[type[Any]]]:
    """Who has an argument, by platform and argument."""
    found = defaultdict(list)
    for operator_class in OPERATORS:
        for name in arguments_of(operator_class):
            if not name.endswith("_conn_id"):
                found[platform_of(operator_class), name].append(operator_class)
    return {key: classes for key, classes in found.items() if len(classes) > 1 and key not in OTHER_RULES}


@pytest.fixture
def answer(
    connect: Connect, emulator: Any, task_context: MakeContext, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Whether an operator refuses an argument; whatever it does not refuse ends with its first request."""
    emulator.fault("*", "status", status=401, times=None)
    for platform in VALID:
        connect(platform, extra={"backoff_seconds": 0, "max_errors": 0})

    def run(operator_class: type[Any], name: str, value: Any) -> str:
        needed = {**VALID[platform_of(operator_class)], **INSTEAD.get(operator_class.__name__, {})}
        arguments = arguments_of(operator_class)
        given = {key: needed[key] for key in arguments if key in needed}
        if {"audience_id", "name"} <= set(arguments):
            for other in BY_NAME if name == "audience_id" else ["audience_id"]:
                given.pop(other, None)
        # Whatever an earlier one may have left behind, this one need not wait for.
        monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / uuid.uuid4().hex))
        emulator.clear_requests()
        try:
            operator_class(task_id="task", **(given | {name: value})).execute(task_context())
        except InvalidInputError as error:
            is_told = name in str(error) and not emulator.requests()
            return "refused" if is_told else f"refused otherwise: {error}"
        except (AudienceError, AirflowException):
            return "taken"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
            return f"{type(error).__name__}: {error}"
        return "taken"

    return run


@pytest.mark.parametrize("value", ODD, ids=json.dumps)
def test_answers_are_the_same(answer: Any, value: Any) -> None:
    differ = {}
    for (platform, name), classes in shared().items():
        answers = {operator_class.__name__: answer(operator_class, name, value) for operator_class in classes}
        if len(set(answers.values())) > 1 or not set(answers.values()) <= {"taken", "refused"}:
            differ[platform, name] = answers
    assert differ == {}, json.dumps([[*key, answers] for key, answers in differ.items()])


def test_many_arguments_are_shared() -> None:
    assert len(shared()) > 30
    assert set(OTHER_RULES).isdisjoint(shared())
