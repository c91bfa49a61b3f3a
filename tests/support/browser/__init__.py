"""A real Airflow web server and a real browser, for the tests of the page Audiences."""
