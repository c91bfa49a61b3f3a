"""
Refresh PAI audience groups every day: one that PAI makes of a MaxCompute table, one of phone numbers from a file.

PAI can't change a group, so a refresh makes a new one, waits until it is ready, and then deletes the old one. If the
new one is rejected, the task fails with PAI's reason and the old one stays. A group whose numbers are the same as the
day before is left as it is, and nothing is billed.

Needs: a connection ``pai_default``; a variable ``audiences_data_folder``, the folder (local or in object storage) with
a file ``phones_YYYY-MM-DD.csv`` for each day, whose column ``phone`` has the numbers; and a variable
``audiences_stage_path``, such as ``oss://my-bucket/audiences``, where a file for PAI may lie until it has been read.
The variable ``audiences_stage_uri`` is for stores other than OSS in cn-hangzhou: by which address PAI reads that file.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import dag

from airflow_provider_audiences.operators.pai import PaiSource
from airflow_provider_audiences.operators.pai_refresh import PaiReplaceGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.sources import RUN_DAY, FileSource

# Each poll is billed. The defaults, 60 seconds that grow to 10 minutes, suit most groups; the demo has no hour to wait.
WAITING = {"poke_interval": 5, "timeout": timedelta(hours=2), "deferrable": True}


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # two runs at once would each be billed for a group
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},  # a try goes on where the last one ended
    tags=["audiences", "pai"],
)
def pai_group_refresh() -> None:
    """Replace a group of a table, and one of a file."""
    PaiReplaceGroupOperator(
        task_id="replace_buyers",
        name="Lapsed buyers",
        source=PaiSource.MAXCOMPUTE,
        project="crm",
        table="lapsed_buyers",
        column="phone",
        filter="ds={{ (dag_run.data_interval_end or dag_run.run_after) | ds_nodash }}",
        phone_number=True,
        remark=RUN_DAY,
        **WAITING,
    )
    PaiSyncGroupOperator(
        task_id="sync_readers",
        name="Newsletter readers",
        # RUN_DAY is the day on which the run starts. If a day's file comes when the day has ended: DAY_BEFORE_RUN.
        source=FileSource("{{ var.value.audiences_data_folder }}/phones_" + RUN_DAY + ".csv", column="phone"),
        stage_path="{{ var.value.audiences_stage_path }}",
        uri_template="{{ var.value.get('audiences_stage_uri', '') }}",
        max_malformed_ratio=0.05,
        **WAITING,
    )


pai_group_refresh()
