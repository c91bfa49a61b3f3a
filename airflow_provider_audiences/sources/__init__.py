"""Sources with options, for an operator's argument ``source``: :class:`FileSource` and :class:`SqlSource`."""

from airflow_provider_audiences.sources.types import FileSource, SqlSource

__all__ = ["FileSource", "SqlSource"]
