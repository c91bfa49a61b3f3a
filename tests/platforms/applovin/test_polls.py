"""When an AppLovin audience is there: by id, by name, with enough users."""

from typing import Any

import pytest

from airflow_provider_audiences.exceptions import ConflictError, InvalidInputError
from airflow_provider_audiences.platforms.applovin.audiences import Audience
from airflow_provider_audiences.platforms.applovin.polls import AudiencePoll
from airflow_provider_audiences.waiting.polls import PollState


def audience(audience_id: str, **options: Any) -> Audience:
    values = {"name": "n", "package_name": "p", "platform": "ios", "description": "", "user_count": 5, **options}
    return Audience(audience_id=audience_id, **values)


LIST = [audience("a"), audience("b", name="m"), audience("c", name="m", platform="android", user_count=None)]


@pytest.mark.parametrize(
    ("rule", "is_ready", "found"),
    [
        ({"audience_id": "a"}, True, "a"),
        ({"audience_id": " a "}, True, "a"),
        ({"audience_id": "x"}, False, None),
        ({"audience_id": 7}, False, None),
        ({"name": 7}, False, None),
        ({"name": "n"}, True, "a"),
        ({"name": "N"}, False, None),
        ({"name": "n", "platform": "android"}, False, None),
        ({"name": "m", "platform": "iOS"}, True, "b"),
        ({"audience_id": "a", "min_user_count": 5}, True, "a"),
        ({"audience_id": "a", "min_user_count": "6"}, False, "a"),
        ({"audience_id": "c"}, True, "c"),
        ({"audience_id": "c", "min_user_count": 0}, False, "c"),
    ],
)
def test_assess(rule: dict[str, Any], is_ready: bool, found: str | None) -> None:
    result = AudiencePoll(**rule).assess(LIST)

    assert result.state is (PollState.READY if is_ready else PollState.WAITING)
    assert (result.seen and result.seen["audience_id"]) == found
    assert result.reason


def test_reason_says_how_many() -> None:
    assert AudiencePoll(audience_id="a").assess(LIST).reason == "audience 'a' is listed with 5 users"
    assert "an unknown number of users" in AudiencePoll(audience_id="c").assess(LIST).reason
    assert AudiencePoll(name="z").assess(LIST).reason == "audience 'z' is not listed"


def test_names_that_repeat() -> None:
    with pytest.raises(ConflictError, match=r"b \(ios\), c \(android\)"):
        AudiencePoll(name="m").assess(LIST)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"audience_id": "a", "name": "n"},
        {"audience_id": ""},
        {"name": " "},
        {"name": "None"},
        {"audience_id": 1.5},
        {"name": "n", "platform": ""},
        {"name": "n", "min_user_count": -1},
        {"name": "n", "min_user_count": True},
    ],
)
def test_wrong_rules(rule: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        AudiencePoll(**rule)
