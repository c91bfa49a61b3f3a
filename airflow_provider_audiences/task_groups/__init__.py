"""Groups of tasks that belong together, as functions for DAG files."""
