"""The ad platforms, a folder each, in plain Python: nothing here knows Airflow."""
