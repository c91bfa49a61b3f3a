"""Finds everything that an error keeps: the frames that it passed, and what formatters of tracebacks show of them."""

import functools
import io
import traceback
import types
from collections.abc import Iterator
from pathlib import Path

import rich.console
import rich.traceback

import airflow_provider_audiences

try:
    import structlog
except ImportError:  # Airflow 2 does not use it
    structlog = None  # type: ignore[assignment]

PACKAGE = str(Path(airflow_provider_audiences.__file__).parent)
_DEEPEST = 12


def reprs(thing: object, seen: dict[int, object] | None = None, depth: int = 0) -> Iterator[str]:
    """Yield the repr of a thing, and of what hangs on it by an attribute, a slot or as an item."""
    seen = {} if seen is None else seen
    if id(thing) in seen or depth > _DEEPEST or isinstance(thing, type | types.ModuleType | types.FunctionType):
        return
    seen[id(thing)] = thing
    yield repr(thing)
    parts: list[object] = []
    if isinstance(thing, dict):  # urllib3 has mappings that refuse to be read; what is in them hangs on them too
        parts += [item for pair in list(thing.items()) for item in pair]
    elif isinstance(thing, list | tuple | set | frozenset):
        parts += thing
    elif isinstance(thing, functools.partial):
        parts += [thing.func, thing.args, thing.keywords]
    elif isinstance(thing, types.MethodType):
        parts.append(thing.__self__)
    parts.append(getattr(thing, "__dict__", None))
    parts += [getattr(thing, name, None) for kind in type(thing).__mro__ for name in _slots(kind)]
    for part in parts:
        if part is not None and not isinstance(part, int | float):
            yield from reprs(part, seen, depth + 1)


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def chain(error: BaseException) -> list[BaseException]:
    """Return an error, and all that led to it."""
    found: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in found:
            found[id(one)] = one
            waiting += [one.__cause__, one.__context__]
    return list(found.values())


def frames_of_ours(error: BaseException) -> list[types.FrameType]:
    """Return the frames of the package that an error and what led to it have passed."""
    frames = [frame for one in chain(error) for frame, _ in traceback.walk_tb(one.__traceback__)]
    return [frame for frame in frames if frame.f_code.co_filename.startswith(PACKAGE)]


def shown_by_formatters(error: BaseException, *, with_rich: bool = False) -> str:
    """
    Return what those show of an error who show local variables; but for the frames of the test itself.

    :param with_rich: ask rich too, and what Airflow uses of it with DEV set; it takes half a second.
    """
    for one in chain(error):
        tb = one.__traceback__
        while tb is not None and "/tests/" in tb.tb_frame.f_code.co_filename:
            tb = tb.tb_next
        one.__traceback__ = tb
    exc_info = (type(error), error, error.__traceback__)
    stream = io.StringIO()
    if with_rich:
        console = rich.console.Console(file=stream, width=2000, no_color=True)
        console.print(rich.traceback.Traceback.from_exception(*exc_info, show_locals=True, extra_lines=0))
    if with_rich and structlog:
        structlog.dev.RichTracebackFormatter(width=2000, extra_lines=0)(stream, exc_info)
    stream.write("".join(traceback.TracebackException(*exc_info, capture_locals=True).format()))
    if structlog:
        formatter = structlog.tracebacks.ExceptionDictTransformer(
            show_locals=True, use_rich=with_rich, locals_max_string=10_000
        )
        stream.write(repr(formatter(exc_info)))
    return stream.getvalue()


def kept(error: BaseException, *, with_rich: bool = False) -> Iterator[str]:
    """
    Yield all that an error keeps of the package's work: each local variable's repr, what hangs on it, texts.

    :param with_rich: as for :func:`shown_by_formatters`.
    """
    seen: dict[int, object] = {}
    for one in chain(error):
        yield repr(one)
        yield str(one)
        yield from map(str, getattr(one, "__notes__", ()))
    for frame in frames_of_ours(error):
        for value in dict(frame.f_locals).values():
            yield from reprs(value, seen)
    yield shown_by_formatters(error, with_rich=with_rich)
