"""The tree of errors: names, shape, and what an error's text says."""

import re
from typing import Any

import pytest

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.exceptions import (
    AudienceError,
    InvalidInputError,
    PermanentError,
    ServerError,
    TransientError,
)

NAMES = [
    "AudienceBusyError",
    "AudienceError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "ConnectionFailedError",
    "GroupNotReadyError",
    "GroupRejectedError",
    "GuardError",
    "InvalidInputError",
    "LedgerLostError",
    "NotFoundError",
    "PermanentError",
    "PlanOutdatedError",
    "RateLimitedError",
    "ServerError",
    "SourceUnavailableError",
    "StateUnavailableError",
    "TaskStoppedError",
    "TransientError",
    "UnexpectedReplyError",
    "WorkspaceUnavailableError",
]


def _drawn_tree() -> dict[str, str | None]:
    """Names and the name of their base, as the docstring draws them."""
    drawing = re.search(r"::\n\n(.*?)\n\n", exceptions.__doc__ or "", re.DOTALL)
    assert drawing
    tree: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    for line in drawing[1].splitlines():
        match = re.match(r"([ \u2502\u251c\u2514\u2500]*)(\w+)", line)
        assert match
        depth = len(match[1])
        while path and path[-1][0] >= depth:
            path.pop()
        tree[match[2]] = path[-1][1] if path else None
        path.append((depth, match[2]))
    return tree


def test_public_names_are_pinned() -> None:
    assert exceptions.__all__ == NAMES
    defined = {
        name for name, value in vars(exceptions).items() if isinstance(value, type) and issubclass(value, Exception)
    }
    assert defined == set(NAMES)


def test_tree_is_what_the_docstring_draws() -> None:
    tree = _drawn_tree()

    assert sorted(tree) == NAMES
    for name, base in tree.items():
        assert getattr(exceptions, name).__bases__[0].__name__ == (base or "Exception")


def test_every_error_is_permanent_or_transient() -> None:
    for name in NAMES:
        kind = getattr(exceptions, name)
        assert kind is AudienceError or issubclass(kind, PermanentError) != issubclass(kind, TransientError)
    assert issubclass(InvalidInputError, ValueError)


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({}, "no such audience."),
        ({"operation": "applovin.list"}, "applovin.list: no such audience."),
        ({"http_status": 404}, "no such audience [HTTP 404]."),
        ({"http_status": 404, "api_code": 404}, "no such audience [HTTP 404]."),
        ({"http_status": 200, "api_code": 404}, "no such audience [HTTP 200, code 404]."),
        ({"api_code": 0}, "no such audience [code 0]."),
        ({"api_code": "NoSuchThing"}, "no such audience [code NoSuchThing]."),
        ({"attempts": 0}, "no such audience."),
        ({"advice": "List them."}, "no such audience. List them."),
        ({"maybe_applied": True, "retry_after_seconds": 5.0}, "no such audience."),
        (
            {
                "operation": "pai.get",
                "http_status": 404,
                "api_code": 7,
                "request_id": "r-1",
                "attempts": 4,
                "advice": "List them",
            },
            "pai.get: no such audience [HTTP 404, code 7, request id r-1, attempts 4]. List them.",
        ),
    ],
)
def test_text(details: dict[str, Any], text: str) -> None:
    assert str(PermanentError("no such audience", **details)) == text


def test_every_error_that_a_server_causes_carries_advice() -> None:
    without = {"AudienceError", "PermanentError", "TransientError", "InvalidInputError"}
    for name in set(NAMES) - without:
        error = getattr(exceptions, name)("it failed")
        assert str(error) == f"it failed. {error.advice}"
        assert error.advice.endswith(".")


def test_text_ends_in_one_full_stop() -> None:
    assert str(PermanentError("no such audience.", advice="List them.")) == "no such audience. List them."


def test_text_says_what_landed_before_the_advice() -> None:
    error = ServerError("failed", attempts=2, advice="Try later.")
    error.so_far = "Before that, one batch was accepted."

    assert str(error) == "failed [attempts 2]. Before that, one batch was accepted. Try later."


def test_defaults() -> None:
    error = AudienceError("m")
    assert vars(error) == {
        "message": "m",
        "operation": None,
        "http_status": None,
        "api_code": None,
        "request_id": None,
        "attempts": 0,
        "maybe_applied": False,
        "too_large": "no",
        "retry_after_seconds": None,
        "advice": None,
        "so_far": None,
    }
    assert error.args == ("m",)
