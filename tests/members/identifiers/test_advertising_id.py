import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.members.identifiers.advertising_id import LINE_LENGTH, parse_advertising_id
from airflow_provider_audiences.members.reject_reasons import RejectReason, mask

ID = "c77bbe4e-6a28-11e4-bcda-14109fdf9591"
KEY = bytes.fromhex(ID.replace("-", ""))
ZERO = "00000000-0000-0000-0000-000000000000"
BOM = "\ufeff"


@pytest.mark.parametrize(
    "line",
    [
        ID,
        ID.upper(),
        ID.title(),
        f"{ID}\n",
        f"{ID}\r\n",
        f" \t{ID}\v\f ",
        f'"{ID}"',
        f"'{ID}'",
        f"\"'{ID}'\" ",
        f"{BOM}{ID}",
        f'{BOM}"{ID}"\r\n',
        f" {BOM} {ID}",
        f"{BOM}{BOM}{ID}",
        f"{ID}{BOM}",
        f"\u00a0{ID}",
        f"{ID}\u2028",
        f"{ID}\x85",
        f"\u200b\u202a{ID}\u202c\u200e",
        f"\u3000'{ID}'\u2009",
        ID.replace("1", "\uff11"),
    ],
)
def test_valid(line: str) -> None:
    assert parse_advertising_id(line.encode()) == KEY


@pytest.mark.parametrize("version", range(1, 9))
def test_any_version(version: int) -> None:
    text = f"c77bbe4e-6a28-{version}1e4-bcda-14109fdf9591"
    assert parse_advertising_id(text.encode()) == bytes.fromhex(text.replace("-", ""))


@pytest.mark.parametrize(
    "line",
    [
        "idfa",
        "null",
        "None",
        "N/A",
        "0",
        ID.replace("-", ""),
        f"{{{ID}}}",
        f"urn:uuid:{ID}",
        ID[:-1],
        f"{ID}0",
        f"{ID[:-1]}g",
        f"{ID}\n{ID}",
        f"{ID},{ID}",
        f"{ID};",
        f"{ID}\x00",
        f"\u201c{ID}\u201d",
        ID.replace("-", "_"),
        ID.replace("-", "\u2010"),
        ID.replace("-", "\uff0d"),
        ID.replace("-", "\u2013"),
        ID.replace("1", "\u0661"),
        f"{ID[:8]}\u200b{ID[8:]}",
        f"{ID[:8]} {ID[8:]}",
        ID.replace("e", "\uff45"),
        "c77bbe4e6a28-11e4-bcda-14109fdf9591-",
        "c77bbe4e-6a2811e4-bcda-1410-9fdf9591",
        "0x" + ID,
        "900150983cd24fb0d6963f7d28e17f72",
        "-" * 36,
    ],
)
def test_malformed(line: str) -> None:
    assert parse_advertising_id(line.encode()) is RejectReason.MALFORMED


@pytest.mark.parametrize("line", [ZERO, f'"{ZERO}"\r\n', f"{BOM}{ZERO}"])
def test_zeroed(line: str) -> None:
    assert parse_advertising_id(line.encode()) is RejectReason.ZEROED


@pytest.mark.parametrize(
    "line", ["", "\n", "\r\n", " \t\v\f", '""', "''", BOM, f'{BOM}""', "\u200b\u3000\u00a0", f"{BOM}{BOM}"]
)
def test_blank(line: str) -> None:
    assert parse_advertising_id(line.encode()) is RejectReason.BLANK


@pytest.mark.parametrize("padding", [65_500, 70_000, 1_100_000])
def test_padding_beyond_the_longest_line(padding: int) -> None:
    too_long = padding + len(ID) > 1 << 16
    line = b" " * padding + ID.encode()
    assert parse_advertising_id(line) == (RejectReason.MALFORMED if too_long else KEY)


@given(st.uuids(), st.booleans())
def test_every_uuid_reads_back(value: uuid.UUID, upper: bool) -> None:
    line = str(value).upper() if upper else str(value)
    assert len(line) + 1 == LINE_LENGTH == 37
    assert parse_advertising_id(f"{line}\n".encode()) == (value.bytes if value.int else RejectReason.ZEROED)


@given(st.binary(max_size=80))
def test_never_raises(line: bytes) -> None:
    key = parse_advertising_id(line)
    assert isinstance(key, RejectReason) or len(key) == 16


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("idfa", "a text of 4 characters"),
        ("x", "a text of 1 characters"),
        ("13900001111", "1390\u2026 (11 characters)"),
        (f"{{{ID}}}", "{c77\u2026 (38 characters)"),
        ("a\x1b\x00bcde", "a??b\u2026 (7 characters)"),
        ("\u4e2d\u6587\u4e2d\u6587\u4e2d", "\u4e2d\u6587\u4e2d\u6587\u2026 (5 characters)"),
    ],
)
def test_mask_gives_nobody_away(line: str, shown: str) -> None:
    assert mask(line.encode()) == shown


def test_mask_of_bytes_that_are_no_text() -> None:
    assert "\u2026" in mask(b"\xff\xfe\xfd\xfc\xfb")
