"""The numbers of a try are the same in metrics and lineage, also if the platform rejects members."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Stats
from support.fixtures import Connect, MakeContext, MakeIds
from support.recorder import Recorder

from airflow_provider_audiences.common.counts import Counts
from airflow_provider_audiences.exceptions import PermanentError
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator, AppLovinRemoveUsersOperator

Taking = Callable[..., None]


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The counters that Airflow's client of metrics was given."""
    sent: dict[str, int] = {}
    monkeypatch.setattr(Stats, "incr", lambda name, value, **_: sent.update({name: value}), raising=False)
    return sent


@pytest.fixture
def taking(recorder: Recorder, connect: Connect) -> Taking:
    """Lets the platform take and reject numbers of members, a pair for each request; then it refuses."""

    def answer(*pairs: tuple[int, int]) -> None:
        left = iter(pairs)

        def reply(method: str, _target: str) -> tuple[int, dict[str, str], bytes]:
            if method == "GET":
                return 200, {}, b'{"code": 200, "audiences": [], "count": 0}'
            pair = next(left, None)
            if pair is None:
                return 403, {}, b'{"code": 403}'
            return 200, {}, json.dumps({"code": 200, "num_valid_ids": pair[0], "num_invalid_ids": pair[1]}).encode()

        recorder.reply = reply
        connect("applovin", host=recorder.url)

    return answer


def rows(operator: Any) -> int:
    lineage = operator.get_openlineage_facets_on_complete(None)
    (output,) = lineage.outputs
    found: int = output.outputFacets["outputStatistics"].rowCount
    assert lineage.run_facets["audiences_report"].counts["refused"] == operator.try_result.counts.refused
    return found


@pytest.mark.parametrize(
    ("operator_class", "name", "other"),
    [(AppLovinAppendUsersOperator, "sent", "removed"), (AppLovinRemoveUsersOperator, "removed", "sent")],
)
def test_what_the_platform_rejects_is_not_sent(
    operator_class: Any,
    name: str,
    other: str,
    taking: Taking,
    counters: dict[str, int],
    task_context: MakeContext,
    make_ids: MakeIds,
) -> None:
    taking((4, 1), (2, 3))
    operator = operator_class(
        task_id="t", audience_id="a", source=[*make_ids(10), "junk"], batch_size=5, on_malformed="drop"
    )
    report = operator.execute(task_context())
    assert (report["sent"], report["accepted"], report["rejected_by_api"]) == (10, 6, 4)
    assert (counters[f"audiences.{name}"], counters[f"audiences.{other}"], counters["audiences.refused"]) == (6, 0, 5)
    assert rows(operator) == 6


def test_of_a_failure_too(
    taking: Taking, counters: dict[str, int], task_context: MakeContext, make_ids: MakeIds
) -> None:
    taking((3, 2))
    operator = AppLovinAppendUsersOperator(
        task_id="t", audience_id="a", source=make_ids(10), batch_size=5, max_parallel_requests=1
    )
    with pytest.raises(PermanentError):
        operator.execute(task_context())
    assert isinstance(operator.try_result.counts, Counts)  # type: ignore[union-attr] # it has ended
    assert (counters["audiences.sent"], counters["audiences.refused"]) == (3, 2)
    assert rows(operator) == 3


def test_a_platform_that_counts_more_than_it_was_sent(
    taking: Taking, counters: dict[str, int], task_context: MakeContext, make_ids: MakeIds
) -> None:
    taking((0, 9))
    AppLovinAppendUsersOperator(task_id="t", audience_id="a", source=make_ids(5)).execute(task_context())
    assert counters["audiences.sent"] == 0
