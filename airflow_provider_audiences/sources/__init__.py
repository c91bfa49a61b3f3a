"""
Sources with options, for an operator's argument ``source``: :class:`FileSource` and :class:`SqlSource`; and templates
for the day of a run, :data:`RUN_DAY` and :data:`DAY_BEFORE_RUN`.
"""

from airflow_provider_audiences.sources.days import DAY_BEFORE_RUN, RUN_DAY
from airflow_provider_audiences.sources.types import FileSource, SqlSource

__all__ = ["DAY_BEFORE_RUN", "RUN_DAY", "FileSource", "SqlSource"]
