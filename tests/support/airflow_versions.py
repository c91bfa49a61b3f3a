"""What the releases of Airflow have under several names, and what ``dag.test()`` of Airflow 3.0 does otherwise."""

from typing import Any

from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

try:
    from airflow.sdk.io import attach
except ImportError:  # Airflow 2
    from airflow.io.store import attach  # type: ignore[import-not-found, no-redef]
try:
    from airflow.serialization.serialized_objects import DagSerialization as Serialization
except ImportError:  # before Airflow 3.1
    from airflow.serialization.serialized_objects import SerializedDAG  # type: ignore[attr-defined]

    Serialization = SerializedDAG  # type: ignore[misc, assignment]
try:
    from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields as rendered_fields
except ImportError:  # Airflow 2
    from airflow.serialization.helpers import serialize_template_field

    def rendered_fields(task: Any) -> dict[str, Any]:
        """Return what Airflow stores of a task's rendered fields."""
        return {field: serialize_template_field(getattr(task, field), field) for field in task.template_fields}


__all__ = ["IS_AIRFLOW_3_0", "Serialization", "attach", "rendered_fields", "without_supervision"]

IS_AIRFLOW_3_0 = get_base_airflow_version_tuple()[:2] == (3, 0)
"""Its ``dag.test()`` shows nothing of what tasks log, copies all arguments in depth, and has no dry run."""


def without_supervision(output: str) -> str:
    """What a DAG run has shown, less what Airflow 3.0 shows there of the talk between task and supervisor."""
    lines = output.splitlines(keepends=True)
    said = ("[debug    ] Sending request", "[debug    ] Received message from task runner")
    return "".join(line for line in lines if not (IS_AIRFLOW_3_0 and any(text in line for text in said)))
