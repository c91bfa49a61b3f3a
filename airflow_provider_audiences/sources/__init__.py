"""
Sources with options, for an operator's argument ``source``: :class:`FileSource` and :class:`SqlSource`, and
:class:`Source`, the base of further ones; and templates for the day of a run, :data:`RUN_DAY` and
:data:`DAY_BEFORE_RUN`.
"""

from airflow_provider_audiences.sources.days import DAY_BEFORE_RUN, RUN_DAY
from airflow_provider_audiences.sources.types import FileSource, Source, SqlSource

__all__ = ["DAY_BEFORE_RUN", "RUN_DAY", "FileSource", "Source", "SqlSource"]
