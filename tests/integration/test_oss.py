"""
``oss://`` through Airflow's ObjectStoragePath: the OSS library against a real server.

That is moto, which speaks S3. OSS speaks the same, but for the name space of its XML, which is taken out on the way,
but for the type of a listed object, and but for one call of its own, which is answered there.
"""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.common.pai.oss import get_fs
from airflow_provider_audiences.common.state import folder_at
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator

SECRET = "sesame-secret"
NUMBERS = [f"1390000{number:04d}" for number in range(150)]
BUCKET_INFO = (
    "<BucketInfo><Bucket><Name>{bucket}</Name><Location>oss-cn-hangzhou</Location><StorageClass>Standard</StorageClass>"
    "<CreationDate>2026-01-01T00:00:00.000Z</CreationDate><ExtranetEndpoint>x</ExtranetEndpoint>"
    "<IntranetEndpoint>y</IntranetEndpoint><Owner><ID>1</ID><DisplayName>1</DisplayName></Owner>"
    "<AccessControlList><Grant>private</Grant></AccessControlList></Bucket></BucketInfo>"
)
CONNECTIONS: dict[str, dict[str, Any]] = {
    "alibaba_cloud": {
        "conn_type": "alibaba_cloud",
        "extra": {"access_key_id": "LTAI1", "access_key_secret": SECRET},
    },
    "pai": {"conn_type": "pai", "login": "LTAI1", "password": SECRET, "extra": {"security_token": "a-token"}},
}


@pytest.fixture(scope="module")
def oss_server(s3_server: str) -> Iterator[str]:
    """The address of a server that answers as OSS does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_any(self) -> None:
            path, _, query = self.path.partition("?")
            if query.startswith("bucketInfo"):
                self._answer(200, BUCKET_INFO.format(bucket=path.strip("/")).encode(), {})
            else:
                self._pass_on()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            upstream = http.client.HTTPConnection(urlsplit(s3_server).netloc)
            sent = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            upstream.request(self.command, self.path, body=body or None, headers=sent)
            answer = upstream.getresponse()
            content = answer.read().replace(b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', b"")
            content = content.replace(b"</Contents>", b"<Type>Normal</Type></Contents>")
            upstream.close()
            dropped = {"transfer-encoding", "connection", "date", "server"}
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
            if self.command != "HEAD":
                headers["Content-Length"] = str(len(content))
            self._answer(answer.status, content, headers)

        def _answer(self, status: int, content: Any, headers: Any) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any  # noqa: N815 - the names are http.server's

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=CONNECTIONS)
def oss(request: pytest.FixtureRequest, s3: Any, oss_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket behind the connection ``my_oss``."""
    connection = CONNECTIONS[request.param]
    stored = connection | {"extra": connection["extra"] | {"endpoint": oss_server}}
    monkeypatch.setenv("AIRFLOW_CONN_MY_OSS", json.dumps(stored))
    return s3


def test_files_are_written_listed_read_and_deleted(oss: Any, tmp_path: Path) -> None:
    folder = folder_at(f"oss://my_oss@{oss.bucket}/deep/er", setting="stage_path")
    folder.store("a.txt", lambda path: path.write_bytes(b"content"), scratch=tmp_path / "a")
    assert oss.get_object(Bucket=oss.bucket, Key="deep/er/a.txt")["Body"].read() == b"content"
    assert folder.names() == ["a.txt"]
    assert folder.read("a.txt") == b"content"
    folder.delete("a.txt")
    folder.delete("a.txt")
    assert folder.names() == []


def test_a_path_of_airflow_opens_it(oss: Any) -> None:
    oss.put_object(Bucket=oss.bucket, Key="numbers.txt", Body=b"13900000001\n")
    path = ObjectStoragePath(f"oss://{oss.bucket}/numbers.txt", conn_id="my_oss")
    assert path.read_bytes() == b"13900000001\n"


def test_a_group_is_made_of_a_file_in_oss(
    oss: Any, s3_server: str, connect: Connect, emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    rule = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{oss.bucket}/*"}
    oss.put_bucket_policy(Bucket=oss.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [rule]}))
    roots = {f"https://{oss.bucket}.oss-cn-hangzhou.aliyuncs.com/": f"{s3_server}/{oss.bucket}/"}
    emulator.settings(processing_seconds=0, file_roots=roots)
    stage: dict[str, Any] = {"stage_path": f"oss://{oss.bucket}/to/pai", "stage_conn_id": "my_oss"}
    operator = PaiSyncGroupOperator(task_id="sync", name="VIP", source=NUMBERS, poke_interval=0.02, **stage)
    report = operator.execute(task_context())
    assert (report["amount"], report["file_bytes"]) == (150, 150 * 12)
    assert "Contents" not in oss.list_objects_v2(Bucket=oss.bucket)


def test_what_a_connection_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NO_PAIR", json.dumps({"conn_type": "pai", "password": SECRET}))
    said = "stage_path oss://my-bucket/x: connection 'no_pair': OSS takes an AccessKey"
    with pytest.raises(exceptions.InvalidInputError, match=said) as failure:
        folder_at("oss://my-bucket/x", setting="stage_path", conn_id="no_pair")
    assert SECRET not in str(failure.value)


def test_members_do_not_go_over_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"endpoint": "http://oss.example"}
    connection = {"conn_type": "pai", "login": "LTAI1", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MY_OSS", json.dumps(connection))
    with pytest.raises(exceptions.InvalidInputError, match="endpoint in the extra is plain http"):
        get_fs("my_oss")


@pytest.mark.parametrize(
    "endpoint",
    ["http://192.0.2.7\\a.localhost", "https:/oss.example", "oss%2eexample", "http://127.1", "oss\uff0eexample"],
)
def test_endpoint_that_libraries_read_differently_is_refused(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    connection = {"conn_type": "pai", "login": "LTAI1", "password": SECRET, "extra": {"endpoint": endpoint}}
    monkeypatch.setenv("AIRFLOW_CONN_MY_OSS", json.dumps(connection))
    with pytest.raises(exceptions.InvalidInputError, match="'my_oss': endpoint in the extra "):
        get_fs("my_oss")


@pytest.mark.parametrize(
    ("extra", "endpoint"),
    [
        ({}, "https://oss-cn-hangzhou.aliyuncs.com"),
        ({"region": "cn-shanghai"}, "https://oss-cn-shanghai.aliyuncs.com"),
        ({"region": " CN-Beijing"}, "https://oss-cn-beijing.aliyuncs.com"),
        ({"region": "beijing", "endpoint": "https://oss.example"}, "https://oss.example"),
        ({"region": "cn-shanghai", "endpoint": "https://oss.example"}, "https://oss.example"),
        ({"endpoint": "oss.example"}, "https://oss.example"),
        ({"endpoint": "http://oss.example", "allow_insecure_http": True}, "http://oss.example"),
    ],
)
def test_the_region_chooses_the_address(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], endpoint: str) -> None:
    connection = {"conn_type": "pai", "login": "LTAI1", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MY_OSS", json.dumps(connection))
    assert get_fs("my_oss").storage_options["endpoint"] == endpoint


@pytest.mark.parametrize("region", ["beijing", "oss-cn-beijing", "cn_beijing", "cn-beijing.aliyuncs.com"])
@pytest.mark.parametrize("conn_type", ["pai", "alibaba_cloud"])
def test_what_is_no_region_is_refused(monkeypatch: pytest.MonkeyPatch, region: str, conn_type: str) -> None:
    connection: dict[str, Any] = {
        "conn_type": conn_type,
        "login": "LTAI1",
        "password": SECRET,
        "extra": {"region": region},
    }
    connection["extra"] |= {"access_key_id": "LTAI1", "access_key_secret": SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_MY_OSS", json.dumps(connection))
    with pytest.raises(exceptions.InvalidInputError, match=r"'my_oss': region .* such as cn-hangzhou"):
        get_fs("my_oss")
