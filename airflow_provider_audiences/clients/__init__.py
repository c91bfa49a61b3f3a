"""The two HTTP APIs in plain Python: nothing here knows Airflow."""
