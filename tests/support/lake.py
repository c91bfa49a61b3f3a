"""Makes tables of Delta Lake and Iceberg that still have files with deleted rows, by the formats' own libraries."""

import json
import struct
import time
import uuid
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io import load_file_io
from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate, update_table_metadata
from pyiceberg.typedef import Record
from pyroaring import BitMap, BitMap64

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_DELTA_MAGIC = 1681511377


def rows(members: Any, first: int = 0) -> Any:
    """A table of two columns: members, and numbers to delete them by."""
    numbers = pa.array(range(first, first + len(members)), pa.int64())
    return pa.table({"member": pa.array(list(members), pa.string()), "n": numbers})


# Delta Lake


def delta_table(address: str | Path, members: Any, deleted: Any, *, options: Any = None, **arguments: Any) -> None:
    """Write members as two versions, then delete the first ones: files of three versions lie there."""
    half = len(members) // 2
    write_deltalake(str(address), rows(members[:half]), storage_options=options, **arguments)
    write_deltalake(str(address), rows(members[half:], half), mode="append", storage_options=options, **arguments)
    if deleted:
        DeltaTable(str(address), storage_options=options).delete(f"n < {deleted}")


def delete_by_vector(folder: Any, positions: Any, *, inline: Any) -> None:
    """Delete rows of a Delta table of one file as Databricks and Spark do it: by a deletion vector."""
    log = sorted(Path(folder, "_delta_log").glob("*.json"))
    add = next(json.loads(line)["add"] for line in log[0].read_text().splitlines() if '"add"' in line)
    data = struct.pack("<I", _DELTA_MAGIC) + BitMap64(positions).serialize()
    vector: dict[str, Any] = {"sizeInBytes": len(data), "cardinality": len(positions)}
    if inline:
        vector |= {"storageType": "i", "pathOrInlineDv": _z85(data + b"\0" * (-len(data) % 4))}
    else:
        name = uuid.uuid4()
        framed = b"\x01" + struct.pack(">I", len(data)) + data + struct.pack(">I", zlib.crc32(data))
        Path(folder, f"deletion_vector_{name}.bin").write_bytes(framed)
        vector |= {"storageType": "u", "pathOrInlineDv": _z85(name.bytes), "offset": 1}
    protocol = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    remove = {"path": add["path"], "deletionTimestamp": int(time.time() * 1000), "dataChange": True}
    add_to_log(
        folder,
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **protocol}},
        {"remove": remove},
        {"add": add | {"deletionVector": vector}},
    )


def add_to_log(folder: Any, *actions: Any) -> None:
    """Commit to a Delta table's log by hand."""
    log = Path(folder, "_delta_log")
    version = len(list(log.glob("*.json")))
    (log / f"{version:020}.json").write_text("\n".join(map(json.dumps, actions)))


def _z85(data: Any) -> str:
    numbers = [int.from_bytes(data[place : place + 4], "big") for place in range(0, len(data), 4)]
    return "".join(_Z85[number // 85**power % 85] for number in numbers for power in (4, 3, 2, 1, 0))


# Apache Iceberg


class FolderCatalog(NoopCatalog):
    """Keeps a table's newest metadata as Hadoop's catalog does: in its own folder, by a version number."""

    def __init__(self, io: Any, *, hint: bool = True) -> None:
        super().__init__("folder")
        self.io = io
        self.hint = hint
        self.version = 0

    def create(self, location: Any, schema: Any, properties: Any) -> Table:
        metadata = new_table_metadata(
            _pyarrow_to_schema_without_ids(schema) if isinstance(schema, pa.Schema) else schema,
            UNPARTITIONED_PARTITION_SPEC,
            UNSORTED_SORT_ORDER,
            location,
            properties,
        )
        return Table(("t",), metadata, self._write(metadata, location), self.io, self)

    def commit_table(self, table: Any, _requirements: Any, updates: Any) -> CommitTableResponse:
        metadata = update_table_metadata(table.metadata, updates)
        where = {"metadata-location": self._write(metadata, table.location())}
        return CommitTableResponse(metadata=metadata, **where)

    def _write(self, metadata: Any, location: Any) -> str:
        self.version += 1
        path = f"{location}/metadata/v{self.version}.metadata.json"
        ToOutputFile.table_metadata(metadata, self.io.new_output(path))
        if self.hint:
            with self.io.new_output(f"{location}/metadata/version-hint.text").create(overwrite=True) as hint:
                hint.write(str(self.version).encode())
        return path


def iceberg_table(
    location: Any, members: Any, deleted: int = 0, *, properties: Any = None, hint: bool = True, **store: Any
) -> Any:
    """Write members as two snapshots, then delete the first ones by rewriting their file."""
    catalog = FolderCatalog(load_file_io(store, location=str(location)), hint=hint)
    data = rows(members)
    table = catalog.create(str(location), data.schema, properties or {})
    half = len(members) // 2
    table.append(data[:half])
    table.append(data[half:])
    if deleted:
        table.delete(f"n < {deleted}")
    return table


class _DeleteManifest(ManifestWriterV2):
    def content(self) -> Any:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> Any:
        return super()._meta | {"content": "deletes"}


def delete_by_file(table: Any, positions: Any, kind: str = "positions") -> None:
    """Delete rows of an Iceberg table's first file as Flink and Spark do it (merge on read): by a file of its own."""
    data_file = min((task.file for task in table.scan().plan_files()), key=lambda file: file.file_path)
    path = f"{table.location()}/data/deletes-{uuid.uuid4()}.{'puffin' if kind == 'vector' else 'parquet'}"
    with table.io.new_output(path).create() as stream:
        if kind == "vector":
            stream.write(_puffin(data_file.file_path, positions))
        elif kind == "positions":
            fields = [_field("file_path", pa.string(), 2147483546), _field("pos", pa.int64(), 2147483545)]
            columns = [[data_file.file_path] * len(positions), positions]
            pq.write_table(pa.table(columns, schema=pa.schema(fields)), stream)
        else:
            pq.write_table(pa.table([positions], schema=pa.schema([_field("n", pa.int64(), 2)])), stream)
    deletes = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES if kind == "equality" else DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PUFFIN if kind == "vector" else FileFormat.PARQUET,
        partition=Record(),
        record_count=len(positions),
        file_size_in_bytes=len(table.io.new_input(path)),
        equality_ids=[2] if kind == "equality" else None,
    )
    _commit_deletes(table, deletes)


def _commit_deletes(table: Any, deletes: Any) -> None:
    metadata, parent = table.metadata, table.current_snapshot()
    snapshot_id, sequence_number = table.metadata.new_snapshot_id(), table.metadata.next_sequence_number()
    names = [
        f"{table.location()}/metadata/{name}-{uuid.uuid4()}.avro" for name in ("deletes-m0", f"snap-{snapshot_id}")
    ]
    entry = ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id, data_file=deletes)
    manifest_file = _DeleteManifest(
        metadata.spec(), metadata.schema(), table.io.new_output(names[0]), snapshot_id, "deflate"
    )
    with manifest_file as writer:
        writer.add_entry(entry)
    listed = table.io.new_output(names[1])
    with write_manifest_list(2, listed, snapshot_id, parent.snapshot_id, sequence_number, "deflate") as writer:
        writer.add_manifests([*parent.manifests(table.io), manifest_file.to_manifest_file()])
    values: dict[str, Any] = {
        "snapshot-id": snapshot_id,
        "parent-snapshot-id": parent.snapshot_id,
        "sequence-number": sequence_number,
        "timestamp-ms": int(time.time() * 1000),
        "manifest-list": names[1],
        "schema-id": metadata.current_schema_id,
    }
    snapshot = Snapshot(summary=Summary(Operation.DELETE), **values)
    reference: dict[str, Any] = {"ref-name": "main", "type": "branch", "snapshot-id": snapshot_id}
    manifest = SetSnapshotRefUpdate(**reference)
    table.catalog.commit_table(table, (), (AddSnapshotUpdate(snapshot=snapshot), manifest))


def _field(name: str, kind: str, field_id: Any) -> Any:
    return pa.field(name, kind, nullable=False, metadata={"PARQUET:field_id": str(field_id)})


def _puffin(path: Any, positions: Any) -> bytes:
    """A Puffin file with one deletion vector."""
    bitmap = BitMap(positions).serialize()
    body = b"\xd1\xd3\x39\x64" + struct.pack("<QI", 1, 0) + bitmap
    blob = struct.pack(">I", len(body)) + body + struct.pack(">I", zlib.crc32(body))
    footer = {
        "blobs": [
            {
                "type": "deletion-vector-v1",
                "fields": [],
                "snapshot-id": -1,
                "sequence-number": -1,
                "offset": 4,
                "length": len(blob),
                "properties": {"referenced-data-file": path, "cardinality": str(len(positions))},
            }
        ]
    }
    payload = json.dumps(footer).encode()
    return b"PFA1" + blob + b"PFA1" + payload + struct.pack("<II", len(payload), 0) + b"PFA1"


def as_version_3(table: Any) -> None:
    """Say of an Iceberg table that its format is 3, which pyiceberg reads and does not write."""
    newest = max(Path(table.location(), "metadata").glob("v*.metadata.json"), key=lambda path: int(path.name[1:-14]))
    newest.write_text(json.dumps(json.loads(newest.read_text()) | {"format-version": 3, "next-row-id": 0}))
