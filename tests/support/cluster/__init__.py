"""
A small Airflow cluster on this machine: PostgreSQL, Redis, S3, the emulator, and two Celery workers.

All parts come from wheels, listen on loopback or unix sockets, and keep their files in one temporary folder (PostgreSQL
in another). Each worker has a disk of its own: its home, its temporary files and its working folder.
"""
