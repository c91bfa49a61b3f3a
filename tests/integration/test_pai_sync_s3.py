"""PAI groups of a file of numbers on a real S3 server (moto), which stands for OSS: the emulator reads it there."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath, TaskDeferred
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator

TEMPLATE = "https://{bucket}.oss-cn-hangzhou.aliyuncs.com/{key}"
MANY = [f"139{77_001_230 + number:08d}" for number in range(150)]


@pytest.fixture
def public(s3: Any, s3_server: str) -> dict[str, str]:
    """Lets the emulator read the bucket without a signature, as PAI reads OSS by a role of its own."""
    rule = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{s3.bucket}/*"}
    s3.put_bucket_policy(Bucket=s3.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [rule]}))
    return {f"https://{s3.bucket}.oss-cn-hangzhou.aliyuncs.com/": f"{s3_server}/{s3.bucket}/"}


@pytest.fixture
def sync(
    emulator: AudiencesEmulator, connect: Connect, task_context: MakeContext, s3: Any, public: dict[str, str]
) -> Callable[..., Any]:
    """Syncs numbers; waits in the worker, or in the triggerer with ``deferrable=True``."""
    emulator.settings(processing_seconds=0, file_roots=public)

    def run(source: Any, *, run_id: str = "r1", **arguments: Any) -> Any:
        emulator.advance(60)
        given = {"name": "VIP", "stage_path": f"s3://{s3.bucket}/to/pai", "uri_template": TEMPLATE}
        waits = {"poke_interval": 0.02, "deferrable": False}
        operator = PaiSyncGroupOperator(task_id="sync", source=source, **(given | waits | arguments))
        context = task_context(task_id="sync", run_id=run_id, max_tries=0, xcom_push=lambda **_pushed: None)
        try:
            return operator.execute(context)
        except TaskDeferred as deferred:
            return _resume(operator, deferred, context)

    return run


def _resume(operator: Any, deferred: Any, context: Any) -> Any:
    _, values = deferred.trigger.serialize()
    trigger = type(deferred.trigger)(**values)

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    [payload] = asyncio.run(events())
    return getattr(operator, deferred.method_name)(context, event=payload, **(deferred.kwargs or {}))


@pytest.fixture
def keys(s3: Any) -> Callable[[], list[str]]:
    """Lists the bucket."""
    return lambda: [item["Key"] for item in s3.list_objects_v2(Bucket=s3.bucket).get("Contents", [])]


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_a_group_is_made_of_the_file_and_the_file_removed(
    sync: Callable[..., Any], emulator: AudiencesEmulator, keys: Callable[[], list[str]], s3: Any, deferrable: bool
) -> None:
    report = sync(MANY, deferrable=deferrable)
    assert (report["members"], report["amount"], report["file_bytes"]) == (150, 150, 150 * 12)
    [group] = emulator.groups()
    assert group["Uri"].startswith(f"https://{s3.bucket}.oss-cn-hangzhou.aliyuncs.com/to/pai/VIP-")
    assert keys() == []
    second = sync(MANY[:120], run_id="r2", deferrable=deferrable)
    assert (second["amount"], second["replaced_group_ids"]) == (120, [report["group_id"]])
    assert sync(reversed(MANY[:120]), run_id="r3", deferrable=deferrable)["unchanged"] is True
    assert keys() == []


@pytest.mark.parametrize("prefix", ["", "/", "/a b/ä+#%20", "/deep/er/", "/with?mark"])
def test_the_address_is_that_of_the_file(
    sync: Callable[..., Any], emulator: AudiencesEmulator, keys: Callable[[], list[str]], s3: Any, prefix: str
) -> None:
    report = sync(MANY, stage_path=f"s3://{s3.bucket}{prefix}", delete_file=False)
    assert report["amount"] == 150
    [key] = keys()
    assert key.startswith(f"{prefix.strip('/')}/VIP-".lstrip("/"))
    written = s3.get_object(Bucket=s3.bucket, Key=key)["Body"].read()
    assert sorted(written.decode().splitlines()) == MANY
    sync(MANY, run_id="r2", stage_path=f"s3://{s3.bucket}{prefix}")
    assert keys() == []


@pytest.mark.parametrize("way", ["path object", "connection in the path", "stage_conn_id"])
def test_the_store_has_a_connection(
    sync: Callable[..., Any], keys: Callable[[], list[str]], s3: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)  # now only the connection leads there
    ways: dict[str, dict[str, Any]] = {
        "path object": {"stage_path": ObjectStoragePath(f"s3://{s3.bucket}/to/pai", conn_id="my_store")},
        "connection in the path": {"stage_path": f"s3://my_store@{s3.bucket}/to/pai"},
        "stage_conn_id": {"stage_conn_id": "my_store"},
    }
    assert sync(MANY, **ways[way])["amount"] == 150
    assert keys() == []


def test_what_others_put_there_stays(
    sync: Callable[..., Any], keys: Callable[[], list[str]], put: Callable[[str, bytes], str]
) -> None:
    put("to/pai/VIP-notes.txt", b"x")
    put("to/pai/", b"")
    put("to/pai/VIP-0123456789-0123456789abcdef.txt", b"x")
    put("to/VIP.txt", b"x")
    before = keys()
    sync(MANY)
    assert keys() == before
    sync(MANY, name="VIP 2", delete_file=False)
    assert len(keys()) == len(before) + 1
    sync(MANY[:120], run_id="r2")
    assert len(keys()) == len(before) + 1


def test_the_file_goes_with_a_rejected_group(
    sync: Callable[..., Any], emulator: AudiencesEmulator, keys: Callable[[], list[str]]
) -> None:
    emulator.settings(reject_names=["VIP"])
    with pytest.raises(exceptions.GroupRejectedError):
        sync(MANY)
    assert keys() == []


def test_leftovers_of_a_run_that_was_cut_off_go(
    sync: Callable[..., Any], emulator: AudiencesEmulator, keys: Callable[[], list[str]]
) -> None:
    emulator.fault("pai.create", "status", status=500, times=4)
    with pytest.raises(exceptions.ServerError):
        sync(MANY)
    assert len(keys()) == 1
    sync(MANY[:120], run_id="r2")
    assert keys() == []


def test_a_bucket_that_is_not_there_is_told_and_nothing_is_billed(
    sync: Callable[..., Any],
    emulator: AudiencesEmulator,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        caplog.at_level(logging.DEBUG, logger="airflow_provider_audiences"),
        pytest.raises(exceptions.StateUnavailableError, match="Check stage_path") as failure,
    ):
        sync(MANY, stage_path="s3://no-such-bucket/to/pai")
    assert not isinstance(failure.value, AirflowFailException)
    assert emulator.billing()["total"]["billed"] == 0
    shown = caplog.text + capsys.readouterr().out + str(failure.value) + repr(failure.value)
    assert "sesame" not in shown
    assert "1397700" not in shown


def test_a_source_in_the_same_store(sync: Callable[..., Any], put: Callable[[str, bytes], str]) -> None:
    address = put("phones/today.txt", "\n".join(MANY).encode())
    assert sync(address)["amount"] == 150
