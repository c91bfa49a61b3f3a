"""What a task's ``source`` may be besides a path, members themselves and a data frame."""

from airflow_provider_audiences.sources.types import FileSource, SqlSource

__all__ = ["FileSource", "SqlSource"]
