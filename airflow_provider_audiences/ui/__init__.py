"""The page Audiences of Airflow's web interface: a plugin, and the files that the browser loads."""
