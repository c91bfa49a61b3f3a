"""Airflow operators: one for each API action, and one for each kind of sync."""
