"""
Runs the update or the sync operator once, in this process, and writes time, memory and report as JSON.

``python -m benchmarks.operator_run SPEC RESULT``: the specification is JSON with ``operator`` (``update`` or ``sync``),
``source`` (a path, or the arguments of a ``SqlSource``) and ``arguments`` for the operator. The time is that of
``execute`` with the imports that it makes. Airflow's own import is not counted, since a worker has imported Airflow
before a task begins.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import types
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import BaseHook  # noqa: F401 - a worker has imported it

from airflow_provider_audiences.operators.applovin import AppLovinUpdateAudienceOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from benchmarks.sink import AUDIENCE_ID

_OPERATORS = {"update": AppLovinUpdateAudienceOperator, "sync": AppLovinSyncAudienceOperator}


def main(spec: str, result_path: str) -> int:
    """
    Run the operator.

    :param spec: what to run, as JSON.
    :param result_path: where the result goes.
    :return: exit status.
    """
    wanted = json.loads(spec)
    result: dict[str, Any] = {}
    try:
        operator = _OPERATORS[wanted["operator"]](
            task_id="bench", audience_id=AUDIENCE_ID, source=_source(wanted["source"]), **wanted["arguments"]
        )
        started = time.perf_counter()
        report = operator.execute(_context())
        result = {"seconds": time.perf_counter() - started, "report": report}
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
        raise
    finally:
        result["peak_megabytes"] = peak_megabytes()
        Path(result_path).write_text(json.dumps(result), encoding="utf-8")
    return 0


def _source(wanted: str | dict[str, Any]) -> Any:
    if isinstance(wanted, str):
        return wanted
    from airflow_provider_audiences.sources import SqlSource  # noqa: PLC0415 - not there in every version

    return SqlSource(**wanted)


def _context() -> Any:
    """Return the part of a task's context that the operator reads."""
    task = {"try_number": 1, "dag_id": "bench", "task_id": "bench", "run_id": "bench", "map_index": -1}
    return {"ti": types.SimpleNamespace(**task, xcom_push=lambda **_value: None)}


def peak_megabytes() -> float:
    """Return this process's largest resident memory, Airflow included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
