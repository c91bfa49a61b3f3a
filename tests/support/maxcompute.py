"""
A stand-in for MaxCompute: as much of its REST and tunnel services as one SELECT takes, over HTTP.

It is made from what pyodps sends and expects, and never met the real service.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
from odps.tunnel.checksum import Checksum

_CHUNK_BYTES = 1 << 16
_INSTANCE = (
    "<Instance><Status>{status}</Status><Tasks><Task Type='SQL'><Name>AnonymousSQLTask</Name><Status>{task}</Status>"
    "<Result Format='text'>{result}</Result></Task></Tasks></Instance>"
)
_TYPES = {"string": "string", "binary": "binary", "bigint": "int64"}


@dataclass(kw_only=True)
class MaxCompute:
    """
    A project that answers each statement with the same rows.

    :ivar address: its address.
    :ivar columns: types of the columns by name, in MaxCompute's words.
    :ivar rows: values of the rows.
    :ivar error: code and message with which statements fail; None if they don't.
    :ivar is_protected: whether the project gives its rows to nobody.
    :ivar is_running: whether statements never end.
    :ivar statements: what was run.
    :ivar asked: what was asked, without the host.
    """

    address: str = ""
    columns: dict[str, str] = field(default_factory=lambda: {"idfa": "string"})
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    error: tuple[str, str] | None = None
    is_protected: bool = False
    is_running: bool = False
    statements: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def schema(self) -> pa.Schema:
        """The schema of the rows as the tunnel has it."""
        return pa.schema([(name, _TYPES[kind]) for name, kind in self.columns.items()])

    def stream(self, columns: list[str]) -> bytes:
        """Return the rows as the tunnel sends them: Arrow without its schema, in chunks with checksums."""
        values = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        arrays = [pa.array(column, field.type) for column, field in zip(values, self.schema, strict=True)]
        table = pa.table(arrays, self.schema)
        table = table.select(columns or table.column_names)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
        data: bytes = sink.getvalue().to_pybytes()[len(table.schema.serialize()) :]
        checksum = Checksum()
        checksum.update(data)
        return struct.pack(">I", _CHUNK_BYTES) + data + struct.pack(">I", int(checksum.getvalue()))


@contextmanager
def running_maxcompute() -> Iterator[MaxCompute]:
    """Run a stand-in on this machine."""
    project = MaxCompute()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"project": project}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    project.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield project
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    project: MaxCompute

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        self.project.asked.append(f"{self.command} {self.path}")
        if path.endswith("/instances"):
            self.project.statements.append(body.partition("<![CDATA[")[2].partition("]]>")[0])
            self._send(b"", status=201, Location=f"{self.project.address}{path}/i1")
        elif path.endswith("/tunnel"):  # which address it has
            self._send(self.project.address.removeprefix("http://").encode())
        elif path.endswith("/instances/i1"):
            self._answer_about_instance(query, body)
        else:
            self._refuse("NoSuchObject", "there is nothing here", status=404)

    def _answer_about_instance(self, query: dict[str, list[str]], body: str) -> None:
        project = self.project
        if "downloads" in query and project.is_protected:
            self._refuse("NoPermission", "the project is protected", status=403)
        elif "downloads" in query:
            columns = [{"name": name, "type": kind} for name, kind in project.columns.items()]
            session = {"DownloadID": "d1", "Status": "normal", "RecordCount": len(project.rows)}
            self._send(dumps({**session, "Schema": {"columns": columns, "partitionKeys": []}}).encode())
        elif "data" in query:
            names = [name for value in query.get("columns", []) for name in value.split(",")]
            self._send(project.stream(names))
        elif "result" in query:
            text = "<![CDATA[" + ":".join(project.error or ()) + "]]>"
            self._send(_INSTANCE.format(status="Terminated", task="Failed", result=text).encode())
        else:
            if self.command == "PUT" and "Terminated" in body:
                project.is_running = False
            status = "Running" if project.is_running else "Terminated"
            task = "Running" if project.is_running else "Failed" if project.error else "Success"
            self._send(_INSTANCE.format(status=status, task=task, result="").encode())

    def _refuse(self, code: str, message: str, *, status: int) -> None:
        self._send(
            f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>r1</RequestId><HostId>h1</HostId></Error>".encode(),
            status=status,
        )

    def _send(self, content: bytes, *, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
