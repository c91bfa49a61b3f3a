"""Tables with deleted rows as the source and the opt-out list of operators: those who were deleted are not sent."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from support.fixtures import Connect, MakeAudience, MakeContext, MakeIds
from support.lake import delta_table, iceberg_table

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.sources import FileSource

MAKERS: dict[str, Callable[..., Any]] = {"delta": delta_table, "iceberg": iceberg_table}
PHONES = [f"1370000{number:04}" for number in range(20)]


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


@pytest.fixture
def audience(make_audience: MakeAudience) -> str:
    return make_audience(uuid.uuid4().hex)


@pytest.mark.parametrize("kind", MAKERS)
def test_those_who_were_deleted_are_not_sent(
    tmp_path: Path, task_context: MakeContext, emulator: AudiencesEmulator, audience: str, make_ids: MakeIds, kind: str
) -> None:
    ids = make_ids(20)
    MAKERS[kind](tmp_path / "users", ids, 5)
    source = FileSource(str(tmp_path / "{{ kind }}"), column="member")
    operator = AppLovinAppendUsersOperator(task_id="append", audience_id=audience, source=source)
    context = task_context() | {"kind": "users"}
    operator.render_template_fields(context)
    operator.execute(context)
    assert sorted(emulator.members(audience)) == sorted(ids[5:])


@pytest.mark.parametrize("kind", MAKERS)
def test_who_opted_out_by_a_table_is_not_sent(
    tmp_path: Path,
    task_context: MakeContext,
    emulator: AudiencesEmulator,
    audience: str,
    make_ids: MakeIds,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    ids = make_ids(20)
    MAKERS[kind](tmp_path / "opt_outs", ids[:10], 4)  # four took it back
    operator = AppLovinSyncAudienceOperator(
        task_id="sync",
        audience_id=audience,
        source=ids,
        suppress=FileSource(tmp_path / "opt_outs", column="member"),
        drift_patience_seconds=0,
    )
    operator.execute(task_context())
    assert sorted(emulator.members(audience)) == sorted([*ids[:4], *ids[10:]])


@pytest.mark.parametrize("kind", MAKERS)
def test_a_group_of_phone_numbers(tmp_path: Path, task_context: MakeContext, kind: str) -> None:
    MAKERS[kind](tmp_path / "users", PHONES, 5)
    operator = PaiSyncGroupOperator(
        task_id="pai", name="g", source=FileSource(tmp_path / "users", column="member"), poke_interval=0.05
    )
    assert operator.execute(task_context(task_id="pai", run_id="r", max_tries=0))["members"] == 15


@pytest.mark.parametrize("source", ["users/*.parquet", "users/", ""])
def test_nothing_is_sent_of_a_table_that_can_not_be_read(
    tmp_path: Path, task_context: MakeContext, emulator: AudiencesEmulator, make_ids: MakeIds, source: str
) -> None:
    (tmp_path / "users/.hoodie").mkdir(parents=True)
    pq.write_table(pa.table({"idfa": make_ids(3)}), tmp_path / "users/a.parquet")
    for operator in (
        AppLovinAppendUsersOperator(task_id="append", audience_id="a", source=f"{tmp_path}/{source}"),
        PaiSyncGroupOperator(task_id="pai", name="g", source=f"{tmp_path}/{source}"),
    ):
        with pytest.raises(InvalidInputError, match="Apache Hudi") as refusal:
            operator.execute(task_context(task_id="t", run_id="r", max_tries=0))
        assert isinstance(refusal.value, AirflowFailException)
    assert emulator.requests() == []
