"""Credentials, region and endpoint of an S3 bucket, for libraries that open S3 without Airflow's file system."""

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
    Credentials, region and endpoint for one bucket.

    :param key_id: id of the access key; None for a bucket that everybody may read.
    :param secret_key: secret of the access key; empty if there is no key.
    :param session_token: token of temporary credentials; empty if they are permanent.
    :param region: the bucket's own region.
    :param endpoint_url: address of a store that is not AWS; None for AWS.
    """

    key_id: str | None = field(repr=False)
    secret_key: Secret
    session_token: Secret
    region: str
    endpoint_url: str | None

    @property
    def secrets(self) -> list[Secret]:
        """All values that must not be shown in messages."""
        texts = [self.key_id or "", self.secret_key.reveal(), self.session_token.reveal()]
        return [Secret(text) for text in texts if text]


def s3_access(conn_id: str | None, *, bucket: str, shown: str) -> S3Access:
    """
    Return the credentials, region and endpoint with which a connection reads a bucket.

    :param conn_id: Airflow connection of the type ``aws``; None for the worker's own credentials.
    :param bucket: name of the bucket.
    :param shown: the source's address without secrets, for messages.
    :raises InvalidInputError: the connection signs requests by a signer of its own, which Delta Lake's library can't
        use.
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
    """Return the bucket's own region, which may differ from the connection's."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        headers = client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    except (BotoCoreError, ClientError):
        headers = {}
    region: str = headers.get(_REGION_HEADER) or client.meta.region_name
    return "us-east-1" if region == "aws-global" else region
