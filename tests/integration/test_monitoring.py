"""Lineage and metrics in a real DAG run: OpenLineage's provider writes a file, and a socket hears Airflow's metrics."""

import inspect
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airflow.providers.common.compat.sdk import DAG
from support.dag_scripts import AirflowProcesses, DagScript

import airflow_provider_audiences
from airflow_provider_audiences.emulator.testing import AudiencesEmulator

IDS = [f"0b5e7ed0-{number:04x}-4000-8000-00000000feed" for number in range(20)]
PHONES = ["13912345678", "13787654321"]
SCHEMA = Path(airflow_provider_audiences.__file__).with_name("lineage") / "report_facet.json"


class Monitored:
    """
    What was heard of a DAG run.

    :param given: what the script was told.
    :param ended: state of each task.
    :param events: events of OpenLineage.
    :param metrics: lines of StatsD.
    :param output: what the run wrote to the terminal.
    """

    def __init__(self, *, given: Any, ended: Any, events: list[Any], metrics: list[str], output: str) -> None:
        self.folder, self.bucket = given["folder"], given["bucket"]
        self.second = ("applovin://applovin_default", f"audiences/{given['second']}")
        self.ended, self.events, self.metrics, self.output = ended, events, metrics, output

    def event(self, task_id: str, *, type_: str = "COMPLETE", map_index: int = -1) -> Any:
        (event,) = (
            one
            for one in self.events
            if one["job"]["name"] == f"monitored.{task_id}"
            and one["eventType"] == type_
            and one["run"]["facets"].get("airflow", {}).get("taskInstance", {}).get("map_index", -1) == map_index
        )
        return event

    def read(self, task_id: str, **which: Any) -> list[tuple[str, str]]:
        return [(one["namespace"], one["name"]) for one in self.event(task_id, **which)["inputs"]]

    def written(self, task_id: str, **which: Any) -> list[tuple[str, str, int | None]]:
        return [
            (one["namespace"], one["name"], one["outputFacets"].get("outputStatistics", {}).get("rowCount"))
            for one in self.event(task_id, **which)["outputs"]
        ]

    def report(self, task_id: str, **which: Any) -> Any:
        return self.event(task_id, **which)["run"]["facets"]["audiences_report"]


@pytest.fixture(scope="module")
def listening() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        heard.setblocking(False)
        yield heard


@pytest.fixture(scope="module")
def processes(
    airflow_database: None, tmp_path_factory: pytest.TempPathFactory, listening: socket.socket
) -> Iterator[AirflowProcesses]:
    """Processes with metrics on from their beginning: Airflow 2 looks no later."""
    settings = {
        "STATSD_ON": "True",
        "STATSD_HOST": "127.0.0.1",
        "STATSD_PORT": str(listening.getsockname()[1]),
        "STATSD_INFLUXDB_ENABLED": "True",
        "METRICS_ALLOW_LIST": "audiences",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(f"AIRFLOW__METRICS__{name}", value)
        processes = AirflowProcesses(tmp_path_factory.mktemp("dags"))
        yield processes
        processes.close()


@pytest.fixture
def people(postgres: Any) -> None:
    cursor = postgres.cursor()
    cursor.execute("CREATE TABLE people (n integer, idfa uuid); CREATE TABLE orders (n integer)")
    for number, one in enumerate(IDS):
        cursor.execute("INSERT INTO people VALUES (%s, %s); INSERT INTO orders VALUES (%s)", (number, one, number))


@pytest.fixture
def monitored(
    emulator: AudiencesEmulator,
    make_audience: Any,
    s3: Any,
    put: Any,
    people: None,
    tmp_path: Path,
    listening: socket.socket,
    processes: AirflowProcesses,
) -> Monitored:
    emulator.settings(processing_seconds=0)
    emulator.fault("applovin.suppression_delete", "status", status=403, number=2, times=None)
    folder = tmp_path / "data"
    (folder / "day=2024-01-02").mkdir(parents=True)
    (folder / "day=2024-01-02" / "a.txt").write_text("\n".join([*IDS[:12], "no id", IDS[0]]))
    (folder / "out.txt").write_text("\n".join(IDS[10:14]))
    put("day=1/part-0", "\n".join(IDS[:3]).encode())
    put("day=1/part-1", "\n".join(IDS[3:7]).encode())
    given = {
        "first": make_audience("A"),
        "second": make_audience("B"),
        "folder": str(folder),
        "bucket": s3.bucket,
        "ids": IDS,
        "phones": PHONES,
        "date_argument": "logical_date"
        if "logical_date" in inspect.signature(DAG.test).parameters
        else "execution_date",
    }
    events = tmp_path / "events.json"
    run = DagScript(
        "monitoring_runs",
        processes,
        given,
        AIRFLOW__AUDIENCES__STATE_PATH=str(tmp_path / "state"),
        AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps({"type": "file", "log_file_path": str(events), "append": True}),
        AIRFLOW__OPENLINEAGE__INCLUDE_FULL_TASK_INFO="True",
        # A fork of this process would wait for threads that it has not: dag.test() runs the API that tasks ask in one.
        AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD="True",
    )
    ended, output = run()
    lines = events.read_text().splitlines() if events.exists() else []
    return Monitored(
        given=given,
        ended=ended,
        events=[json.loads(line) for line in lines],
        metrics=list(heard(listening)),
        output=output,
    )


def heard(listening: socket.socket) -> Iterator[str]:
    with suppress(BlockingIOError):
        while True:
            yield from listening.recv(65_536).decode().splitlines()


def counted(monitored: Monitored) -> dict[tuple[str, str], int]:
    """Return the sums of the counters, by platform, kind, operation, outcome; and their names."""
    sums: dict[tuple[str, str], int] = {}
    for line in monitored.metrics:
        name, _, value = line.rpartition(":")
        if value.endswith("|c"):
            metric, _, tags = name.partition(",")
            of = " ".join(tag.partition("=")[2] for tag in tags.split(","))
            sums[of, metric] = sums.get((of, metric), 0) + int(value.removesuffix("|c"))
    return sums


def test_events_and_metrics_tell_what_was_read_and_written(monitored: Monitored, emulator: AudiencesEmulator) -> None:
    failed = {task for task, state in monitored.ended.items() if state == "failed"}
    assert failed == {"stopped", "failing"}, monitored.output[-6000:]
    assert len(monitored.ended) == 15
    assert {state for task, state in monitored.ended.items() if task not in failed} == {"success"}
    check_files(monitored)
    check_queries(monitored)
    check_others(monitored)
    check_failures(monitored)
    check_metrics(monitored)
    schema = json.loads(SCHEMA.read_text())
    reports = [
        one["run"]["facets"]["audiences_report"]
        for one in monitored.events
        if "audiences_report" in one["run"]["facets"]
    ]
    assert len(reports) == 14  # one of each task of ours
    for report in reports:
        jsonschema.validate(report, schema)
    said = json.dumps([monitored.events, monitored.metrics], ensure_ascii=False).lower()
    assert not [one for one in (*IDS, *PHONES, emulator.api_key.lower(), "sesame") if one in said]


def check_files(monitored: Monitored) -> None:
    folder = monitored.folder
    of_synced = ("applovin://applovin_default", "audiences/Loyal%20players")
    read = [("file", f"{folder}/day=2024-01-02"), ("file", f"{folder}/out.txt")]
    assert monitored.read("synced", type_="START") == read
    assert monitored.written("synced", type_="START") == [(*of_synced, None)]
    assert monitored.read("synced") == read
    assert monitored.written("synced") == [(*of_synced, 10)]
    report = monitored.report("synced")
    assert (report["platform"], report["kind"], report["operation"], report["outcome"]) == (
        *("applovin", "audience", "sync", "ok"),
    )
    counts = {"sent": 10, "removed": 0, "refused": 1, "live": 10, "drift": 0}
    assert {name: value for name, value in report["counts"].items() if name != "requests"} == counts
    assert (report["report"]["suppressed"], report["report"]["duplicates"]) == (2, 1)
    store = f"s3://{monitored.bucket}"
    assert monitored.read("planned") == [(store, "day=1")]
    assert monitored.written("planned") == []
    for index, rows in enumerate((3, 4)):
        assert monitored.read("mapped", map_index=index) == [(store, f"day=1/part-{index}")]
        assert monitored.written("mapped", map_index=index) == [(*monitored.second, rows)]
    assert monitored.read("decorated") == [("file", f"{folder}/day=2024-01-02/a.txt")]
    assert monitored.written("decorated") == [(*monitored.second, 12)]


def check_queries(monitored: Monitored) -> None:
    tables = [table for _, table in monitored.read("queried")]
    assert sorted(tables) == ["postgres.public.orders", "postgres.public.people"]
    assert {namespace.partition(":")[0] for namespace, _ in monitored.read("queried")} == {"postgres"}
    assert monitored.event("queried")["job"]["facets"]["sql"]["query"].endswith("WHERE p.n < %s")
    assert monitored.written("queried") == [(*monitored.second, 7)]
    assert [table for _, table in monitored.read("literal")] == ["postgres.public.people"]
    assert "sql" not in monitored.event("literal")["job"]["facets"]


def check_others(monitored: Monitored) -> None:
    assert monitored.read("handed") == []
    assert monitored.written("handed") == [(*monitored.second, 2)]
    assert monitored.written("grouped") == [("pai://pai_default", "groups/VIP%20%E4%BC%9A%E5%91%98", 2)]
    assert monitored.report("grouped")["counts"] == {"sent": 2, "refused": 0, "live": 2, "requests": 2}
    assert monitored.read("table") == [("maxcompute", "demo_project.vip_customers")]
    assert monitored.written("table") == [("pai://pai_default", "groups/Table", None)]
    assert monitored.written("created") == [("applovin://applovin_default", "audiences/New", None)]


def check_failures(monitored: Monitored) -> None:
    stopped = monitored.report("stopped", type_="FAIL")
    assert (stopped["outcome"], stopped["guard"]) == ("stopped", "max_removed_ratio")
    assert (stopped["counts"]["sent"], stopped["counts"]["removed"]) == (0, 0)
    failing = monitored.report("failing", type_="FAIL")
    assert (failing["outcome"], failing.get("guard"), failing.get("report")) == ("failed", None, None)
    assert failing["counts"] == {"sent": 0, "removed": 2, "refused": 0, "requests": 2}
    assert monitored.written("failing", type_="FAIL") == [("applovin://applovin_default", "suppression/com.example", 2)]


def check_metrics(monitored: Monitored) -> None:
    sums = counted(monitored)
    audience, suppression = "applovin audience", "applovin suppression_list"
    assert sums[f"{audience} sync ok", "airflow.audiences.sent"] == 10
    assert sums[f"{audience} sync ok", "airflow.audiences.refused"] == 1
    assert sums[f"{audience} sync stopped", "airflow.audiences.sent"] == 0
    assert sums[f"{audience} append ok", "airflow.audiences.sent"] == 7 + 2 + 3 + 4 + 12
    assert sums[f"{audience} remove ok", "airflow.audiences.removed"] == 19
    assert sums[f"{suppression} append ok", "airflow.audiences.sent"] == 5
    assert sums[f"{suppression} remove failed", "airflow.audiences.removed"] == 2
    assert sums[f"{suppression} remove failed", "airflow.audiences.requests"] == 2
    assert sums["pai group sync ok", "airflow.audiences.sent"] == 2
    assert sums["pai group replace ok", "airflow.audiences.requests"] == 2
    gauges = [line for line in monitored.metrics if line.endswith("|g")]
    assert sorted(gauges) == [
        "airflow.audiences.drift,platform=applovin,kind=audience,operation=sync,audience=Loyal_20players:0|g",
        "airflow.audiences.live,platform=applovin,kind=audience,operation=sync,audience=Loyal_20players:10|g",
        "airflow.audiences.live,platform=pai,kind=group,operation=replace,audience=Table:1200|g",
        "airflow.audiences.live,platform=pai,kind=group,operation=sync,audience=VIP_20_E4_BC_9A_E5_91_98:2|g",
    ]
    seconds = [line for line in monitored.metrics if line.endswith("|ms")]
    assert len(seconds) == 13  # one of each task of ours that writes, in whatever way it ended
    assert all(line.startswith("airflow.audiences.seconds,") for line in seconds)
