"""What a task's ``source`` may be besides a path, members themselves and a data frame."""

from airflow_provider_audiences.common.source_types import FileSource, SqlSource

__all__ = ["FileSource", "SqlSource"]
