"""
A little Airflow cluster on this machine: PostgreSQL, Redis, S3, the emulator, and two Celery workers.

All of it comes from wheels, listens on loopback or unix sockets, and lies in one temporary folder (PostgreSQL in
another). Each worker has a disk of its own: its home, its temporary files, its working folder.
"""
