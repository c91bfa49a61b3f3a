"""Airflow operators: one for each API operation, and one for each kind of sync."""
