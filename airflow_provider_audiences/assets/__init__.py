"""Airflow assets (datasets on Airflow 2) for audiences, suppression lists and groups; one asset for each."""
