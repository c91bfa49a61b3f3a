"""
Runs example DAGs for the past weeks, each day with its own clock, so that Airflow's pages have a history to show.

Airflow, the provider and the emulator have the same clock then, so members expire when they would have.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

import time_machine
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.common.compat.sdk import conf

from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl

DAG_IDS = ("applovin_audience_sync", "applovin_suppression_sync")
_HOUR = 6
"""Of the day (UTC), at which the runs begin."""


def main(emulator_url: str, *days: str) -> int:
    """
    Run the DAGs for each day.

    :param emulator_url: where the emulator listens.
    :param days: days, ``YYYY-MM-DD``, in order.
    :return: exit status.
    """
    emulator = AudiencesEmulatorControl(emulator_url)
    bag = DagBag(conf.get("core", "dags_folder"))
    for day in days:
        midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
        for minutes, dag_id in enumerate(DAG_IDS):
            begins = midnight + timedelta(hours=_HOUR, minutes=minutes)
            emulator.set_clock(begins.timestamp())
            with time_machine.travel(begins, tick=True):
                bag.dags[dag_id].test(logical_date=midnight)
    emulator.set_clock(time.time())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
