"""
Runs the DAG below for real (``dag.test()``): sources that several tasks, or a mapped task, hand over.

A script, not a test: Airflow keeps its process for itself. It prints as JSON what each task returned, and waits for.
"""

import datetime as dt
import json
import os
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator, task

from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.sources import FileSource

INPUT = json.loads(os.environ["DAG_RUNS_INPUT"])
AUDIENCES, IDS, PHONES, PATHS = (INPUT[name] for name in ("audience_ids", "ids", "phones", "paths"))
IDS_OF = {"first": IDS[:20], "second": IDS[20:30]}
PHONES_OF = {"first": PHONES[:4], "second": PHONES[4:]}


class Export(BaseOperator):
    """Stands for an operator of the user's that returns a path."""

    template_fields = ("which",)

    def __init__(self, *, which: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.which = which

    def execute(self, context: Any) -> Any:  # noqa: ARG002 - the name is Airflow's
        return PATHS[self.which]


@task
def path_of(which: Any) -> Any:
    return PATHS[which]


@task
def relative_path_of(which: Any) -> Any:
    return os.path.relpath(PATHS[which])


@task
def ids_of(which: Any) -> Any:
    return IDS_OF[which]


@task
def rows_of(which: Any) -> list[Any]:
    return [(item,) for item in IDS_OF[which]]


@task
def phones_of(which: Any) -> Any:
    return PHONES_OF[which]


@task
def nothing() -> None:
    print("forgot to return")  # noqa: T201


BOTH = ["first", "second"]
with DAG("handed", start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), schedule=None) as handed:
    audiences = iter(AUDIENCES)

    def append(name: str, source: Any) -> AppLovinAppendUsersOperator:
        return AppLovinAppendUsersOperator(task_id=name, audience_id=next(audiences), source=source)

    paths = path_of.override(task_id="paths").expand(which=BOTH)
    output = Export.partial(task_id="exports").expand(which=BOTH).output
    one, two = path_of.override(task_id="one")("first"), path_of.override(task_id="two")("second")
    ids = ids_of.override(task_id="ids").expand(which=BOTH)
    few = ids_of.override(task_id="few")("second")
    numbers = phones_of.override(task_id="numbers").expand(which=BOTH)
    some = phones_of.override(task_id="some")("second")
    append("mapped_paths", paths)
    append("mapped_relative_paths", relative_path_of.override(task_id="relative").expand(which=BOTH))
    append("mapped_output", output)
    append("mapped_ids", ids)
    append("mapped_rows", rows_of.override(task_id="rows").expand(which=BOTH))
    append("listed", [one, two])
    append("in_a_tuple", (one, PATHS["second"]))
    two >> append("nested", [[one], ["{{ ti.xcom_pull('two') }}"]])
    [one, two] >> append("templates", ["{{ ti.xcom_pull('one') }}", "{{ ti.xcom_pull('two') }}"])
    append("with_members", [few, IDS[0], IDS[20]])
    append("of_one", [ids])
    append("in_file_source", FileSource(paths))
    append("in_list_of_file_source", FileSource([one, [PATHS["second"]]]))
    append("mixed", [one, few])
    append("with_nothing", [one, nothing()])
    append("with_a_gap", path_of.override(task_id="gaps").expand(which=[*BOTH, "third"]))
    AppLovinAppendUsersOperator.partial(task_id="shared", source=[one, two]).expand(audience_id=[next(audiences)])
    AppLovinSyncAudienceOperator(
        task_id="sync", audience_id=next(audiences), source=paths, suppress=[few, IDS[0]], drift_patience_seconds=0
    )
    PaiSyncGroupOperator(task_id="group", name="g", source=numbers, poke_interval=0.1)
    PaiSyncGroupOperator(task_id="group_of_list", name="l", source=[some, PHONES[0]], poke_interval=0.1)
    PaiCreateGroupOperator(task_id="text", source=0, name="t", text=[some, PHONES[0]])
    PaiCreateGroupOperator(task_id="text_of_mapped", source=0, name="m", text=numbers)

if __name__ == "__main__":
    run = handed.test()
    ended = {}
    for ti in run.get_task_instances():
        key = f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id
        returned = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        upstream = sorted(handed.get_task(ti.task_id).upstream_task_ids)
        ended[key] = {"state": str(ti.state), "returned": returned, "upstream": upstream}
    print("\nENDED", json.dumps(ended))  # noqa: T201 - the test reads it
