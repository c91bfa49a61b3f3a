from collections.abc import Iterator
from typing import Any

import pytest

SECRET = "sesame-key"


@pytest.fixture(scope="session")
def s3_options() -> Iterator[dict[str, Any]]:
    """How to reach an S3 server that holds all in memory; it has one bucket, ``state``."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": SECRET}
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(Bucket="state")
    yield {"endpoint_url": url, "key": "key", "secret": SECRET, "client_kwargs": {"region_name": "us-east-1"}}
    server.stop()
