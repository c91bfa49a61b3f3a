"""Keys and address of S3 for libraries that open it themselves: those that Airflow's own file system would use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.redaction import Secret

_REGION_HEADER = "x-amz-bucket-region"


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """
    How to get into a bucket.

    :param key_id: None for a bucket that everybody may read.
    :param secret_key: empty without a key.
    :param session_token: of temporary credentials; empty for others.
    :param region: of the bucket.
    :param endpoint_url: of a store that is not AWS's own; None for AWS.
    """

    key_id: str | None = field(repr=False)
    secret_key: Secret
    session_token: Secret
    region: str
    endpoint_url: str | None

    @property
    def secrets(self) -> list[Secret]:
        """All that must not be shown."""
        texts = [self.key_id or "", self.secret_key.reveal(), self.session_token.reveal()]
        return [Secret(text) for text in texts if text]


def s3_access(conn_id: str | None, *, bucket: str, shown: str) -> S3Access:
    """
    Return how a connection gets into a bucket.

    :param conn_id: an Airflow connection of the type ``aws``; None for the worker's own credentials.
    :param bucket: the bucket.
    :param shown: the source's address, for messages.
    :raises InvalidInputError: the connection signs requests in a way of its own.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    hook = S3Hook(aws_conn_id=conn_id)
    if hook.service_config.get("signer"):
        raise InvalidInputError(
            f"source {shown}: connection {conn_id} has its requests signed elsewhere (signer), which Delta Lake tables "
            "can't be read with: query it with SqlSource"
        )
    client = hook.get_conn()
    credentials = hook.get_session().get_credentials()
    frozen = credentials.get_frozen_credentials() if credentials else None
    endpoint_url = client.meta.endpoint_url
    is_aws = (urlsplit(endpoint_url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return S3Access(
        key_id=frozen.access_key if frozen else None,
        secret_key=Secret(frozen.secret_key if frozen else ""),
        session_token=Secret((frozen.token or "") if frozen else ""),
        region=_region_of(client, bucket),
        endpoint_url=None if is_aws else endpoint_url,
    )


def _region_of(client: Any, bucket: str) -> str:
    """Return a bucket's own region, which may be another than the connection's."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        headers = client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    except (BotoCoreError, ClientError):
        headers = {}
    region: str = headers.get(_REGION_HEADER) or client.meta.region_name
    return "us-east-1" if region == "aws-global" else region
