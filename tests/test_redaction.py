"""What hides members and secrets: values that don't show them, frames that are emptied, texts of servers."""

import base64
import copy
import html
import json
import pickle
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import hypothesis
import pytest
import requests
from hypothesis import strategies as st

from airflow_provider_audiences.members.identifiers.patterns import ADVERTISING_ID_PATTERNS, PHONE_NUMBER_PATTERNS
from airflow_provider_audiences.redaction import (
    MaskedBytes,
    MaskedLines,
    Redactor,
    Secret,
    forgetting_locals,
)

ID = "0badf00d-6a28-11e4-bcda-14109fdf9591"
PHONE = "18612340987"
SOME = UUID("3f1f4a5c-9a0e-4a57-9d2b-0c8a1b2c3d4e")
KEYS = ["k+/=%&?#'\"~key 9", "sk-0123456789abcdef", "gl\u00fcck\u4e2d\U0001f511/x", "a<b>c&d;e\\f"]


class TestMasked:
    @pytest.mark.parametrize(
        ("masked", "shown"),
        [
            (MaskedBytes(f"{ID}\n".encode() * 1_234), "<45,658 bytes in 1,234 lines, not shown>"),
            (MaskedBytes(b'{"Text": "18612340987"}'), "<23 bytes, not shown>"),
            (MaskedBytes(b""), "<0 bytes, not shown>"),
            (MaskedLines(f"{PHONE}\n{PHONE}"), "<2 members, not shown>"),
            (MaskedLines(f"{PHONE}\n"), "<1 member, not shown>"),
            (MaskedLines(""), "<0 members, not shown>"),
        ],
    )
    def test_shows_how_much_it_is(self, masked: Any, shown: str) -> None:
        for text in (repr(masked), str(masked), f"{masked}", f"{masked!s}", "%s" % masked, "{}".format(masked)):  # noqa: UP031, UP032
            assert text == shown
        assert f"{masked:>60}".strip() == shown
        assert not hasattr(masked, "__dict__")

    @pytest.mark.parametrize("masked", [MaskedBytes(b"x"), MaskedLines("x")])
    def test_is_never_pickled_and_copied_as_itself(self, masked: Any) -> None:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="never pickled"):
                pickle.dumps([masked], protocol)
        with pytest.raises(TypeError):
            json.dumps(masked)
        assert copy.deepcopy([masked])[0] is copy.copy(masked) is masked
        assert masked == type(masked)(masked.reveal())
        assert masked == masked.reveal()
        assert hash(masked) == hash(masked.reveal())
        assert masked != type(masked)(masked.reveal() * 2)

    def test_of_a_masked_one_is_itself(self) -> None:
        masked = MaskedBytes.of(b"x")
        assert MaskedBytes.of(masked) is masked

    @pytest.mark.parametrize("size", [1, 16_384, 3_000_001])
    def test_goes_out_in_one_piece_with_its_length(self, recorder: Any, size: int) -> None:
        content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        masked = MaskedBytes(content)
        assert next(iter(masked)) is content
        requests.post(recorder.url, data=masked, timeout=20)

        ((_, _, headers, received),) = recorder.requests
        assert received == content
        assert headers["Content-Length"] == str(size)
        assert "Transfer-Encoding" not in headers


def _fail(members: list[str]) -> None:
    numbers = {member: len(member) for member in members}
    raise LookupError(len(numbers))


def _generate(members: list[str]) -> Iterator[str]:
    for member in members:
        yield member
        last = member
    try:
        _fail([last])
    except LookupError as error:
        raise RuntimeError("again") from error


class TestForgettingLocals:
    def test_empties_frames_of_all_that_led_to_the_error(self) -> None:
        with pytest.raises(RuntimeError) as caught, forgetting_locals():
            list(_generate([ID]))
        for error in (caught.value, caught.value.__cause__):
            tb = error.__traceback__  # type: ignore[union-attr]
            names = []
            while tb is not None:
                if tb.tb_frame.f_code.co_name in {"_generate", "_fail"}:
                    assert tb.tb_frame.f_locals == {}
                    names.append((tb.tb_frame.f_code.co_name, tb.tb_lineno))
                tb = tb.tb_next
            assert names, "where it happened is still told"

    def test_groups_of_errors(self) -> None:
        def several() -> None:
            try:
                _fail([ID])
            except LookupError as error:
                raise ExceptionGroup("several", [error]) from None

        with pytest.raises(ExceptionGroup) as caught, forgetting_locals():
            several()
        inner = caught.value.exceptions[0].__traceback__.tb_next  # type: ignore[union-attr]
        assert inner.tb_frame.f_locals == {}  # type: ignore[union-attr]

    def test_leaves_alone_what_was_being_handled_before(self) -> None:
        try:
            _fail([ID])
        except LookupError:
            with pytest.raises(ValueError, match="other"), forgetting_locals():
                raise ValueError("other") from None
            handled = sys.exception()
            assert handled is not None
            assert handled.__traceback__.tb_next.tb_frame.f_locals["members"] == [ID]  # type: ignore[union-attr]


def _entities(key: str, form: str) -> str:
    return "".join(form.format(ord(char)) for char in key)


def _broken(key: str, between: str) -> str:
    return key[: len(key) // 2] + between + key[len(key) // 2 :]


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "HTML": html.escape,
    "HTML, twice": lambda key: html.escape(html.escape(key)),
    "decimal entities": lambda key: _entities(key, "&#{};"),
    "hex entities": lambda key: _entities(key, "&#x{:x};"),
    "entities without semicolons": lambda key: _entities(key, "&#{:07d}"),
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON with slashes": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "JSON for HTML": lambda key: (
        json.dumps(key)[1:-1]
        .replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003E")
        .replace("'", "\\u0027")
    ),
    "JSON within JSON": lambda key: json.dumps(json.dumps(key))[3:-3],
    "all of it in \\u": lambda key: "".join(f"\\u{unit:04x}" for unit in memoryview(key.encode("utf-16-le")).cast("H")),
    "all of it in \\x": lambda key: "".join(f"\\x{ord(char):02x}" if ord(char) < 256 else char for char in key),
    "percent": lambda key: urllib.parse.quote(key, safe=""),
    "percent, twice": lambda key: urllib.parse.quote(urllib.parse.quote(key, safe="")),
    "percent, three times": lambda key: urllib.parse.quote(urllib.parse.quote(urllib.parse.quote(key, safe=""))),
    "percent in HTML": lambda key: html.escape(urllib.parse.quote_plus(key)),
    "all of it in percent": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 without its end": lambda key: base64.b64encode(key.encode()).decode().rstrip("="),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "base64 in a query": lambda key: urllib.parse.quote(base64.b64encode(key.encode()).decode(), safe=""),
    "basic authentication": lambda key: base64.b64encode(f"some-user:{key}".encode()).decode(),
    "base64 in lines": lambda key: _broken(base64.b64encode(f"api_key is {key}, it is".encode()).decode(), "\r\n"),
    "hex": lambda key: key.encode().hex(),
    "a line break within": lambda key: _broken(key, "\n"),
    "a folded header": lambda key: _broken(key, "\r\n  "),
    "a soft line break": lambda key: _broken(key, "=\n"),
    "a line break in JSON": lambda key: json.dumps(_broken(key, "\n"))[1:-1],
    "a soft hyphen": lambda key: _broken(key, "\u00ad"),
    "full-width": lambda key: "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in key),
}


class TestSpellings:
    @pytest.mark.parametrize("spelling", SPELLINGS)
    @pytest.mark.parametrize("key", KEYS)
    def test_of_keys(self, key: str, spelling: str) -> None:
        redact = Redactor(Secret(key), [])
        written = SPELLINGS[spelling](key)
        for text in (f"the key <{written}> is wrong", f'{{"key":"{written}"}}', written, f"x={written}&y=1"):
            shown = redact(text)
            assert "***" in shown
            # Not even a half of it.
            for form in (key, written):
                for part in (form[: len(form) // 2], form[len(form) // 2 :]):
                    assert part.strip() not in shown, (text, shown)
        assert redact.has_secret(f"{written}") or "base64" in spelling or "basic" in spelling

    @hypothesis.given(
        key=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs", "Cf"]), min_size=8, max_size=40),
        spelling=st.sampled_from(sorted(SPELLINGS)),
        around=st.tuples(st.text(max_size=5), st.text(max_size=5)),
    )
    @hypothesis.settings(max_examples=150)
    def test_of_any_key(self, key: str, spelling: str, around: tuple[str, str]) -> None:
        if "\\" in key or "&" in key or "%" in key or "\\" in "".join(around):
            return  # what reads as an escape of the spelling's own; those of KEYS are tried above
        shown = Redactor(Secret(key), [])(f"{around[0]} {SPELLINGS[spelling](key)} {around[1]}")
        assert key not in shown
        assert key not in html.unescape(urllib.parse.unquote(shown))

    @pytest.mark.parametrize(
        "written",
        [
            *(ID, ID.upper(), ID.replace("-", ""), ID.replace("-", "").upper(), ID.replace("-", "%2d"), f"{{{ID}}}"),
            *(html.escape(ID.replace("-", "&#45;")), ID.replace("-", "\\u002d"), ID.replace("-", "\uff0d")),
            base64.b64encode(f"{ID}\n{ID}\n".encode()).decode(),
        ],
    )
    def test_of_ids(self, written: str) -> None:
        shown = Redactor(Secret("k9"), ADVERTISING_ID_PATTERNS.in_server_replies)(f"bad id {written}, line 7")
        assert shown.endswith(("***, line 7", "{***}, line 7"))

    @pytest.mark.parametrize(
        "written",
        [
            *(PHONE, "+86 186 1234 0987", "186.1234.0987", "+86.186.1234.0987", "186-1234-0987", "186/1234/0987"),
            *(
                "1 8 6 1 2 3 4 0 9 8 7",
                "(186) 1234.0987",
                "186\u00a01234\u20110987",
                "186 - 1234 - 0987",
                "+1.415.555.2671",
            ),
            "".join(chr(ord(digit) + 0xFEE0) for digit in PHONE),
            "\uff0b\uff18\uff16 " + "".join(chr(ord(digit) + 0xFEE0) for digit in PHONE),
            *(PHONE.replace("1", "&#49;"), PHONE.replace("8", "\\u0038"), PHONE.replace("6", "%36")),
            base64.b64encode(f"{PHONE}\n".encode()).decode(),
        ],
    )
    def test_of_numbers(self, written: str) -> None:
        shown = Redactor(Secret("k9"), PHONE_NUMBER_PATTERNS.in_server_replies)(f"bad number '{written}' in line 7")
        assert shown == "bad number '***' in line 7"

    @pytest.mark.parametrize(
        "text",
        [
            "ds=20220101 at 2026-11-26 17:08:53, 2026/11/26, 2026.11.26",
            "from 192.168.100.200 to 10.0.0.1:8765, version 3.14.15",
            "R&D said 100% &amp; 50%25 of C:\\users\\new, caf\u00e9 &lt;x&gt;",
            "SignatureDoesNotMatch: ServiceUnavailableForTheMoment",
        ],
    )
    def test_other_text_stays_as_it_is(self, text: str) -> None:
        patterns = (*PHONE_NUMBER_PATTERNS.in_server_replies, *ADVERTISING_ID_PATTERNS.in_server_replies)
        assert Redactor(Secret("sk-0123456789abcdef"), patterns)(text) == text

    def test_long_texts_are_cut_before_a_secret_and_not_within(self) -> None:
        key = "s" * 150 + "t" * 150
        redact = Redactor(Secret(key), [])
        for shift in range(0, 300, 7):
            shown = redact(" " * shift + f"{key} " * 200)
            assert "sss" not in shown
            assert "ttt" not in shown
        assert len(redact("y" * 1_000_000)) == 300


class TestIdentifiers:
    redact = Redactor(Secret("sk-0123456789abcdef"), (*PHONE_NUMBER_PATTERNS.in_server_replies,))

    @pytest.mark.parametrize(
        "text",
        [str(SOME), str(SOME).upper(), SOME.hex, "11111111-1111-4111-8111-111111111111", "req_8f.2-A", "7"],
    )
    def test_what_looks_like_one(self, text: str) -> None:
        assert self.redact.identifier(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            *(None, "", " ", "two words", "x" * 65, "a/b", "a=b", "<b>", "a\nb", "\u00e9", ["x"], {"a": 1}),
            *("sk-0123456789abcdef", "x.sk-0123456789abcdef-7", b"sk-0123456789abcdef".hex()),
            *(
                base64.urlsafe_b64encode(b"sk-0123456789abcdef").decode().rstrip("="),
                PHONE,
                f"no-{PHONE}",
                "186.1234.0987",
            ),
        ],
    )
    def test_what_does_not(self, text: object) -> None:
        assert self.redact.identifier(text) is None
