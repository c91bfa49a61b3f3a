"""Waiting for a platform, without Airflow and without time: what a poll asks, and what it makes of the answers."""
