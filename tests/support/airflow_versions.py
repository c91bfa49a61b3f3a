"""Differences of ``dag.test()`` in Airflow 3.0 from all other versions."""

from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

IS_AIRFLOW_3_0 = get_base_airflow_version_tuple()[:2] == (3, 0)
"""It shows nothing of what tasks log, copies all arguments in depth, and has no dry run."""


def without_supervision(output: str) -> str:
    """What a DAG run has shown, less what Airflow 3.0 shows there of the talk between task and supervisor."""
    lines = output.splitlines(keepends=True)
    said = ("[debug    ] Sending request", "[debug    ] Received message from task runner")
    return "".join(line for line in lines if not (IS_AIRFLOW_3_0 and any(text in line for text in said)))
