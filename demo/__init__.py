"""The demo: real Airflow runs the example DAGs against the emulator."""
