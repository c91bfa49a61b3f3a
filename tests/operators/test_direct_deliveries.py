"""What operators for direct changes offer beside sending: dry runs, rejects, parallel requests, progress."""

import csv
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath
from support.airflow_versions import IS_AIRFLOW_3_0
from support.fixtures import Connect, MakeAudience, MakeContext, MakeIds

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinRemoveUsersOperator,
    AppLovinUpdateAudienceOperator,
)
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination

UPLOADS = [AppLovinUpdateAudienceOperator, AppLovinAppendUsersOperator, AppLovinRemoveUsersOperator]
ZEROS = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


@pytest.fixture
def audience_id(make_audience: MakeAudience) -> str:
    return make_audience()


@pytest.fixture
def upload(task_context: MakeContext, audience_id: str) -> Callable[..., Any]:
    def run(
        source: Any, *, operator_class: Any = AppLovinUpdateAudienceOperator, context: Any = None, **arguments: Any
    ) -> Any:
        operator = operator_class(task_id="upload", audience_id=audience_id, source=source, **arguments)
        return operator.execute(context or task_context())

    return run


class TestDryRun:
    @pytest.mark.parametrize("operator_class", UPLOADS)
    def test_counts_and_sends_nothing(
        self, upload: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds, operator_class: type[Any]
    ) -> None:
        source = [*make_ids(5), make_ids(1)[0].upper(), "idfa", ZEROS, ""]
        report = upload(source, operator_class=operator_class, batch_size=2, dry_run=True, on_malformed="drop")

        assert emulator.requests() == []
        assert report["dry_run"] is True
        assert (report["planned_requests"], report["planned_ids"], report["planned_bytes"]) == (3, 5, 5 * 37)
        assert (report["requests"], report["batches"], report["sent"], report["bytes_sent"]) == (0, 0, 0, 0)
        assert [report[name] for name in ("malformed", "zeroed", "duplicates", "blank")] == [1, 1, 1, 1]

    @pytest.mark.parametrize("operator_class", UPLOADS)
    def test_says_what_is_then_sent(
        self, upload: Callable[..., Any], make_ids: MakeIds, operator_class: type[Any]
    ) -> None:
        arguments = {"operator_class": operator_class, "batch_size": 3}
        planned = upload(make_ids(10), dry_run=True, **arguments)
        sent = upload(make_ids(10), **arguments)
        assert planned["planned_requests"] == sent["requests"] == 4
        assert planned["planned_bytes"] == sent["bytes_sent"]

    def test_refuses_what_a_run_refuses(self, upload: Callable[..., Any], emulator: AudiencesEmulator) -> None:
        with pytest.raises(exceptions.InvalidInputError, match="allow_empty"):
            upload([], dry_run=True)
        with pytest.raises(exceptions.InvalidInputError, match="none of the source's"):
            upload(["idfa"], dry_run=True)
        assert emulator.requests() == []

    def test_airflows_own_dry_run_still_works(self, audience_id: str, make_ids: MakeIds) -> None:
        operator = AppLovinUpdateAudienceOperator(
            task_id="upload", audience_id=audience_id, source=make_ids(1), dry_run=True
        )
        assert IS_AIRFLOW_3_0 or callable(operator.dry_run)


class TestRejects:
    SOURCE = ("idfa", "{c77bbe4e-6a28-11e4-bcda-14109fdf9591}", ZEROS, "", "13900001111")

    def test_are_reported_one_by_one_as_csv(
        self, upload: Callable[..., Any], tmp_path: Path, make_ids: MakeIds
    ) -> None:
        source = tmp_path / "ids.txt"
        source.write_text("\n".join([*make_ids(2), *self.SOURCE, make_ids(1)[0]]))
        path = tmp_path / "new folder" / "rejects.csv"
        report = upload(str(source), rejects_path=str(path))

        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        name = str(source)
        assert rows == [
            {"source": name, "row_number": "3", "reason": "malformed", "preview": "a text of 4 characters"},
            {"source": name, "row_number": "4", "reason": "malformed", "preview": "{c77… (38 characters)"},
            {"source": name, "row_number": "5", "reason": "zeroed", "preview": "0000… (36 characters)"},
            {"source": name, "row_number": "7", "reason": "malformed", "preview": "1390… (11 characters)"},
        ]
        assert (report["malformed"], report["zeroed"]) == (3, 1)

    def test_are_reported_as_parquet_with_their_values(
        self, upload: Callable[..., Any], tmp_path: Path, make_ids: MakeIds
    ) -> None:
        path = tmp_path / "rejects.parquet"
        upload(
            [*make_ids(1), *self.SOURCE],
            rejects_path=ObjectStoragePath(f"file://{path}"),
            rejects_include_values=True,
        )
        rows = duckdb.execute(f"SELECT row_number, value FROM '{path}'").fetchall()
        assert rows == [(2, self.SOURCE[0]), (3, self.SOURCE[1]), (4, ZEROS), (6, self.SOURCE[4])]

    @pytest.mark.parametrize("rules", [{"on_malformed": "fail"}, {"max_malformed_ratio": 0.1}])
    def test_are_reported_when_they_stop_the_run(
        self,
        upload: Callable[..., Any],
        emulator: AudiencesEmulator,
        tmp_path: Path,
        make_ids: MakeIds,
        rules: dict[str, Any],
    ) -> None:
        path = tmp_path / "rejects.csv"
        with pytest.raises(exceptions.InvalidInputError, match=r"all of them are in .*rejects\.csv"):
            upload([*make_ids(1), *self.SOURCE], rejects_path=str(path), **rules)
        assert len(path.read_text().splitlines()) == 5
        assert emulator.requests() == []

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"rejects_path": "/tmp/rejects.txt"}, r"must end with \.parquet or \.csv"),
            ({"rejects_path": "s3://bucket/rejects?token=sesame"}, r"must end with"),
            ({"rejects_path": 7}, "rejects_path is an int"),
            ({"rejects_include_values": True}, "rejects_path is not"),
        ],
    )
    def test_a_place_that_can_take_none_is_refused(
        self,
        upload: Callable[..., Any],
        emulator: AudiencesEmulator,
        make_ids: MakeIds,
        arguments: dict[str, Any],
        said: str,
    ) -> None:
        with pytest.raises(exceptions.InvalidInputError, match=said) as refusal:
            upload(make_ids(1), **arguments)
        assert "sesame" not in str(refusal.value)
        assert isinstance(refusal.value, AirflowFailException)
        assert emulator.requests() == []

    @pytest.mark.parametrize(
        ("source", "target"),
        [
            ("{folder}/ids.csv", "{folder}/ids.csv"),
            ("{folder}/ids.csv", "file://{folder}/../{name}/ids.csv"),
            ("{folder}", "{folder}/rejects.csv"),
            ("{folder}/*.csv", "{folder}/rejects.csv"),
            ("{folder}/link.csv", "{folder}/ids.csv"),
            (["{folder}/other.csv", "{folder}/ids.csv"], "{folder}/ids.csv"),
            ("s3://store@bucket/exports/", "s3://bucket/exports/rejects.csv"),
        ],
    )
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_never_overwrite_their_source(
        self,
        upload: Callable[..., Any],
        emulator: AudiencesEmulator,
        tmp_path: Path,
        make_ids: MakeIds,
        source: str | list[str],
        target: str,
        dry_run: bool,
    ) -> None:
        content = "idfa\n" + "\n".join([*make_ids(3), "bad"])
        for name in ("ids.csv", "other.csv"):
            (tmp_path / name).write_text(content)
        (tmp_path / "link.csv").symlink_to(tmp_path / "ids.csv")
        names = {"folder": tmp_path, "name": tmp_path.name}
        source = [part.format(**names) for part in source] if isinstance(source, list) else source.format(**names)
        with pytest.raises(exceptions.InvalidInputError, match="is a part of the source"):
            upload(source, rejects_path=target.format(**names), dry_run=dry_run)
        assert (tmp_path / "ids.csv").read_text() == content
        assert emulator.requests() == []

    @pytest.mark.parametrize("path", ["{folder}/new/r.csv", "file://{folder}/new/r.csv"])
    def test_get_their_folder_made(
        self, upload: Callable[..., Any], tmp_path: Path, make_ids: MakeIds, path: str
    ) -> None:
        upload([*make_ids(1), "bad"], rejects_path=path.format(folder=tmp_path))
        assert "malformed" in (tmp_path / "new/r.csv").read_text()

    def test_beside_their_source_are_fine(self, upload: Callable[..., Any], tmp_path: Path, make_ids: MakeIds) -> None:
        (tmp_path / "ids.txt").write_text("\n".join([*make_ids(3), "bad"]))
        assert upload(str(tmp_path / "ids.txt"), rejects_path=str(tmp_path / "rejects.csv"))["sent"] == 3

    @pytest.mark.parametrize("path", ["{folder}/taken.csv", "/proc/none/r.csv", "nosuch://a/r.csv"])
    def test_that_can_not_be_written_fail_for_good(
        self, upload: Callable[..., Any], emulator: AudiencesEmulator, tmp_path: Path, make_ids: MakeIds, path: str
    ) -> None:
        (tmp_path / "taken.csv").mkdir()
        with pytest.raises(exceptions.InvalidInputError, match="can't be written"):
            upload([*make_ids(1), "bad"], rejects_path=path.format(folder=tmp_path))
        assert emulator.requests() == []


class TestSwitches:
    @pytest.mark.parametrize("name", ["allow_empty", "dry_run", "rejects_include_values"])
    @pytest.mark.parametrize("value", ["no", "", 0, None])
    def test_are_true_or_false(
        self,
        upload: Callable[..., Any],
        emulator: AudiencesEmulator,
        make_ids: MakeIds,
        name: str,
        value: str | int | None,
    ) -> None:
        with pytest.raises(exceptions.InvalidInputError, match=f"{name} must be True or False"):
            upload(make_ids(1), **{name: value})
        assert emulator.requests() == []


class TestParallelRequests:
    @pytest.mark.parametrize("parallel", [1, "3", 16])
    def test_all_members_arrive(
        self,
        upload: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        parallel: int | str,
    ) -> None:
        report = upload(make_ids(50), batch_size=4, max_parallel_requests=parallel)
        assert emulator.members(audience_id) == make_ids(50)
        assert (report["requests"], report["sent"]) == (13, 50)

    @pytest.mark.parametrize("parallel", [0, 17, -1, "many", None, True])
    def test_a_wrong_number_is_refused(
        self, upload: Callable[..., Any], emulator: AudiencesEmulator, make_ids: MakeIds, parallel: int | str | None
    ) -> None:
        with pytest.raises(exceptions.InvalidInputError, match="max_parallel_requests"):
            upload(make_ids(1), max_parallel_requests=parallel)
        assert emulator.requests() == []


class TestLaterTry:
    """A replacement whose reply was lost may take effect after the next try's, and no ledger tells of it."""

    @pytest.fixture(autouse=True)
    def _late_for_two_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        limits = replace(AudienceDestination.limits, late_effect_seconds=1, max_request_seconds=1)
        monkeypatch.setattr(AudienceDestination, "limits", limits)

    def test_an_update_waits_for_it(
        self,
        connect: Connect,
        upload: Callable[..., Any],
        emulator: AudiencesEmulator,
        audience_id: str,
        make_ids: MakeIds,
        task_context: MakeContext,
    ) -> None:
        connect("applovin", extra={"max_retries": 0})
        emulator.fault("applovin.update", "apply_late", delay_seconds=1)
        arguments: dict[str, Any] = {"batch_size": 2, "retry_delay": timedelta(0)}
        with pytest.raises(exceptions.ServerError):
            upload(make_ids(5), **arguments)
        upload(make_ids(7), context=task_context(try_number=2), **arguments)
        time.sleep(1.2)
        assert emulator.members(audience_id) == make_ids(7)

    @pytest.mark.parametrize(
        ("given", "waits"),
        [
            ({"try_number": 1}, []),
            ({"try_number": 2}, []),  # Airflow's own retry_delay is longer
            ({"try_number": 2, "retry_delay": timedelta(seconds=0.5)}, [1.5]),
            ({"try_number": 3, "retry_delay": timedelta(0)}, [2]),
            ({"try_number": 2, "retry_delay": timedelta(0), "operator_class": AppLovinAppendUsersOperator}, []),
        ],
        ids=str,
    )
    def test_nothing_else_waits(
        self,
        upload: Callable[..., Any],
        make_ids: MakeIds,
        task_context: MakeContext,
        monkeypatch: pytest.MonkeyPatch,
        given: dict[str, Any],
        waits: list[float],
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr(time, "sleep", slept.append)
        context = task_context(try_number=given.pop("try_number"))
        upload(make_ids(3), context=context, **given)
        assert slept == waits

    def test_an_update_waits_too_if_the_ledger_is_lost(
        self,
        upload: Callable[..., Any],
        audience_id: str,
        make_ids: MakeIds,
        task_context: MakeContext,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path))
        sync = AppLovinSyncAudienceOperator(task_id="s", audience_id=audience_id, source=make_ids(3))
        sync.execute(task_context())
        slept: list[float] = []
        monkeypatch.setattr(time, "sleep", slept.append)
        again = {"context": task_context(try_number=2), "retry_delay": timedelta(0)}
        upload(make_ids(3), **again)
        assert slept == []  # the ledger knows what the try before has sent
        for path in tmp_path.rglob("ledger-*"):
            path.unlink()
        upload(make_ids(3), **again)
        assert slept == [2]


class TestProgress:
    class Store(types.SimpleNamespace):
        def set(self, key: str, value: Any) -> None:
            self.values.append((key, value))

    def test_is_kept_where_airflow_keeps_such_things(
        self, upload: Callable[..., Any], task_context: MakeContext, make_ids: MakeIds
    ) -> None:
        store = self.Store(values=[])
        upload(make_ids(5), context={**task_context(), "task_state_store": store}, batch_size=2)
        assert store.values[-1] == ("progress", {"members_sent": 5, "members_total": 5})

    def test_is_not_worth_a_failure(
        self, upload: Callable[..., Any], task_context: MakeContext, make_ids: MakeIds
    ) -> None:
        class Broken:
            def set(self, _key: str, _value: Any) -> Any:
                raise RuntimeError("the API server is away")

        assert upload(make_ids(5), context={**task_context(), "task_state_store": Broken()})["sent"] == 5


@pytest.mark.parametrize("operator_class", UPLOADS)
def test_a_ledger_that_begins_while_the_source_is_read_notes_it(
    upload: Callable[..., Any],
    task_context: MakeContext,
    audience_id: str,
    make_ids: MakeIds,
    operator_class: type[Any],
) -> None:
    def source() -> Iterator[Any]:
        sync = AppLovinSyncAudienceOperator(task_id="sync", audience_id=audience_id, source=make_ids(5))
        sync.execute(task_context())
        yield from make_ids(3, start=2)

    assert upload(source(), operator_class=operator_class)["in_ledger"] is True


class TestSettings:
    @pytest.mark.parametrize(
        ("option", "value", "said"),
        [
            ("memory_limit", "lots", "memory_limit must be a number with a unit"),
            ("memory_limit", "10MB", "at least 256MB"),
            ("temp_folder", "/no/such/folder", "temp_folder /no/such/folder is no folder"),
        ],
    )
    def test_wrong_ones_are_refused(
        self,
        upload: Callable[..., Any],
        emulator: AudiencesEmulator,
        make_ids: MakeIds,
        monkeypatch: pytest.MonkeyPatch,
        option: str,
        value: str,
        said: str,
    ) -> None:
        monkeypatch.setenv(f"AIRFLOW__AUDIENCES__{option.upper()}", value)
        with pytest.raises(exceptions.InvalidInputError, match=said):
            upload(make_ids(1))
        assert emulator.requests() == []

    def test_the_temp_folder_is_used_and_left_empty(
        self,
        upload: Callable[..., Any],
        make_ids: MakeIds,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        scratch: Path,
    ) -> None:
        monkeypatch.setenv("AIRFLOW__AUDIENCES__TEMP_FOLDER", str(tmp_path))
        seen: list[Any] = []

        def source() -> Iterator[Any]:
            seen.extend(path.name for path in tmp_path.iterdir())
            yield from make_ids(3)

        assert upload(source())["sent"] == 3
        assert any(name.startswith("audiences-staging-") for name in seen)
        assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
        assert list(scratch.iterdir()) == []


def test_an_upload_imports_only_what_it_needs(audience_id: str, tmp_path: Path, make_ids: MakeIds) -> None:
    """Whoever sends a text file waits for no library that reads tables."""
    (tmp_path / "ids.txt").write_text("\n".join(make_ids(3)))
    code = (
        "import sys, types\n"
        "from airflow_provider_audiences.operators.applovin import AppLovinUpdateAudienceOperator\n"
        "operator = AppLovinUpdateAudienceOperator(task_id='t', audience_id=sys.argv[1], source=sys.argv[2])\n"
        "task = types.SimpleNamespace(try_number=1, dag_id='d', task_id='t', run_id='r', map_index=-1)\n"
        "assert operator.execute({'ti': task})['accepted'] == 3\n"
        "print('IMPORTED', *sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, audience_id, str(tmp_path / "ids.txt")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.partition("IMPORTED ")[2].split())
    assert "requests" in imported
    assert not imported & {"duckdb", "nanoarrow", "pandas", "pyarrow"}
