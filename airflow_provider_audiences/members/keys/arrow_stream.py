"""
An Arrow stream whose arrays are made while DuckDB pulls them.

nanoarrow makes streams of arrays that exist already. This one asks a Python iterator for the next array when DuckDB
has room for it. So a table of any size passes through memory piece by piece, and nothing of it lies on the disk before
DuckDB writes it.

A stream of Arrow's C interface is a structure of four functions. Here they are Python functions, called by ctypes,
which takes the interpreter's lock for each call: any thread of DuckDB may call them. They never make an array's
structure by themselves. For each array they make a stream of nanoarrow with that array alone, and pass the call on to
it.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator, Sequence
from typing import Any

from nanoarrow.c_array_stream import CArrayStream


class _Stream(ctypes.Structure):
    """``ArrowArrayStream`` of Arrow's C stream interface."""


_GET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_GET_LAST_ERROR = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
_RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Stream._fields_ = [
    ("get_schema", _GET),
    ("get_next", _GET),
    ("get_last_error", _GET_LAST_ERROR),
    ("release", _RELEASE),
    ("private_data", ctypes.c_void_p),
]
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.argtypes, _pointer_of.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p
_WHY = ctypes.create_string_buffer(b"the next piece of the table could not be made")


class PulledTable:
    """
    A table for DuckDB, of arrays that are made when DuckDB pulls them. It can be read once.

    :param schema: the schema of the arrays: a nanoarrow C schema of a struct.
    :param arrays: yields nanoarrow C arrays of that schema. An error that it raises ends DuckDB's query, and is then in
        :attr:`failure`.
    """

    def __init__(self, schema: Any, arrays: Iterator[Any]) -> None:
        self._schema = schema
        self._arrays = arrays
        # They must exist as long as DuckDB may call them.
        self._functions = (
            _GET(self._get_schema),
            _GET(self._get_next),
            _GET_LAST_ERROR(lambda _stream: ctypes.addressof(_WHY)),
            _RELEASE(_mark_released),
        )
        self.failure: BaseException | None = None
        """The error for which DuckDB got no further array; None if there was none."""
        self.has_ended = False
        """Whether DuckDB has got all arrays."""
        self._is_given_up = False

    def end(self) -> None:
        """Give DuckDB no further array, so that its query fails soon."""
        self._is_given_up = True

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        capsule, stream, address = self._stream_of([])
        stream.release(address)  # nanoarrow's stream has ended, and its structure is filled anew
        stream.get_schema, stream.get_next, stream.get_last_error, stream.release = self._functions
        return capsule

    def _get_schema(self, _stream: int, out: int) -> int:
        _capsule, stream, address = self._stream_of([])
        return int(stream.get_schema(address, out))

    def _get_next(self, _stream: int, out: int) -> int:
        """Move the next array to ``out``; after the last one, the end of nanoarrow's empty stream."""
        try:
            if self._is_given_up:
                return errno.ECANCELED
            array = next(self._arrays, None)
            self.has_ended = array is None
            _capsule, stream, address = self._stream_of([] if array is None else [array])
            return int(stream.get_next(address, out))
        except BaseException as error:  # noqa: BLE001 - nothing can be raised into DuckDB; who has called it raises this
            self.failure = error
            return errno.EIO

    def _stream_of(self, arrays: Sequence[Any]) -> tuple[object, _Stream, int]:
        """Return a stream of nanoarrow: the capsule that keeps it alive, its structure, and the structure's address."""
        capsule = CArrayStream.from_c_arrays(arrays, self._schema, validate=False).__arrow_c_stream__()
        address = _pointer_of(capsule, b"arrow_array_stream")
        return capsule, _Stream.from_address(address), address


def _mark_released(stream: int) -> None:
    """Mark a stream as released; the arrays that were pulled belong to whoever has them."""
    _Stream.from_address(stream).release = _RELEASE()
