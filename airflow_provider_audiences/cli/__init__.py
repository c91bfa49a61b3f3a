"""The command line: ``airflow audiences …`` and ``airflow-audiences …``."""
