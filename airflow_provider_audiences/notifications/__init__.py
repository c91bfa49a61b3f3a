"""Notifications about audiences, suppression lists and groups when their state changes, by Airflow's notifiers."""
