"""Code for Airflow that the hooks, operators, sensors and triggers of both platforms share."""
