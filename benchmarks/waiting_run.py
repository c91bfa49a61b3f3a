"""
Waits for PAI groups in this process, as a triggerer or as one sensor in poke mode, and prints figures as JSON.

``python -m benchmarks.waiting_run triggers`` prints ``READY``, then reads a line of JSON from standard input. The
connection ``pai_default`` comes from the environment.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import types
from collections.abc import Sequence
from typing import Any

from benchmarks.operator_run import peak_megabytes


def main(mode: str) -> int:
    """
    Wait, and print what came of it.

    :param mode: ``triggers``, or ``poke`` for one sensor.
    :return: exit status.
    """
    # What a triggerer and a worker have behind them when a wait begins.
    from airflow_provider_audiences.hooks.pai import PaiHook  # noqa: F401, PLC0415
    from airflow_provider_audiences.sensors.pai import PaiGroupSensor  # noqa: F401, PLC0415
    from airflow_provider_audiences.triggers.pai import PaiGroupTrigger  # noqa: F401, PLC0415

    before = peak_megabytes()
    print("READY", flush=True)
    wanted = json.loads(sys.stdin.readline())
    figures = asyncio.run(_triggers(wanted)) if mode == "triggers" else _poke(wanted)
    print(json.dumps({**figures, "peak_megabytes": peak_megabytes(), "megabytes_before": before}), flush=True)
    return 0


async def _triggers(wanted: dict[str, Any]) -> dict[str, Any]:
    """Run a trigger for each group, all in this loop, and tell when each was noticed."""
    noticed: dict[str, float] = {}
    threads = 0

    async def run(group_id: str) -> None:
        async for event in _trigger(group_id, wanted).run():
            if event.payload["state"] != "ready":
                raise RuntimeError(str(event.payload["reason"]))
            noticed[group_id] = time.time()

    async def count_threads() -> None:
        nonlocal threads
        while True:
            threads = max(threads, threading.active_count())
            await asyncio.sleep(0.1)

    await asyncio.sleep(max(0.0, wanted["begin_epoch_seconds"] - time.time()))
    counting = asyncio.create_task(count_threads())
    await asyncio.gather(*(run(group_id) for group_id in wanted["group_ids"]))
    counting.cancel()
    return {"noticed_epoch_seconds": noticed, "threads": threads}


def _trigger(group_id: str, wanted: dict[str, Any]) -> Any:
    from airflow_provider_audiences.triggers.pai import PaiGroupTrigger  # noqa: PLC0415

    interval, begin = wanted["interval_seconds"], wanted["begin_epoch_seconds"]
    return PaiGroupTrigger(
        conn_id="pai_default",
        group_id=group_id,
        poll_interval_seconds=interval,
        deadline_epoch_seconds=begin + 100 * interval,
        max_poll_failures=5,
        # The sensor has polled in the worker, and left the rest to the triggerer.
        first_poll_epoch_seconds=begin + interval,
    )


def _poke(wanted: dict[str, Any]) -> dict[str, Any]:
    """Run one sensor in poke mode for a group that is ready; what it keeps of a worker is its process."""
    from airflow_provider_audiences.sensors.pai import PaiGroupSensor  # noqa: PLC0415

    sensor = PaiGroupSensor(task_id="wait", group_id=wanted["group_ids"][0], mode="poke", deferrable=False)
    sensor.execute({"ti": types.SimpleNamespace(xcom_push=lambda **_: None)})  # type: ignore[typeddict-item]  # all of it that is used
    return {}


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    sys.exit(main(*arguments))
