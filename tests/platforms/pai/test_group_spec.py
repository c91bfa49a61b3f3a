"""Each source's parameters, checked before the call: a failed create is billed."""

import logging
from typing import Any

import pytest

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.pai.group_spec import (
    MAX_TEXT_NUMBERS,
    GroupSpec,
    PaiSource,
    check_oss_uri,
    parse_source,
)

URI = "https://bucket.oss-cn-hangzhou.aliyuncs.com/folder/file.csv"
FULL: dict[PaiSource, dict[str, Any]] = {
    PaiSource.TEXT: {"text": "13900001111"},
    PaiSource.TEXT_FILE: {"uri": URI},
    PaiSource.CSV: {"uri": URI, "column": "phone", "phone_number": True},
    PaiSource.MAXCOMPUTE: {
        "project": "p",
        "table": "t",
        "column": "phone",
        "filter": "ds=20220101",
        "phone_number": True,
    },
    PaiSource.ALGORITHM: {"algorithm": "user_recall", "inference_job_id": "job"},
}
REQUIRED: dict[PaiSource, set[str]] = {
    PaiSource.TEXT: {"text"},
    PaiSource.TEXT_FILE: {"uri"},
    PaiSource.CSV: {"uri", "column"},
    PaiSource.MAXCOMPUTE: {"project", "table", "column"},
    PaiSource.ALGORITHM: {"algorithm", "inference_job_id"},
}
VALUES: dict[str, Any] = {
    name: value for values in FULL.values() for name, value in values.items() if name != "phone_number"
}


def numbers(count: int) -> list[str]:
    return [f"139{number:08d}" for number in range(count)]


def text_spec(text: str, **options: Any) -> GroupSpec:
    return GroupSpec(source=PaiSource.TEXT, text=text).checked(**options)


@pytest.mark.parametrize("source", PaiSource)
def test_full_spec_passes(source: PaiSource) -> None:
    spec = GroupSpec(source=source, name="n", remark="r", **FULL[source])

    assert spec.checked() == spec
    assert spec.to_api()["Source"] == source.value


@pytest.mark.parametrize(
    ("source", "name"), [(source, name) for source in PaiSource for name in sorted(REQUIRED[source])]
)
@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_missing_parameter(source: PaiSource, name: str, value: str | None) -> None:
    spec = GroupSpec(source=source, **{**FULL[source], name: value})
    with pytest.raises(InvalidInputError, match=rf"^{name} is missing: source {source.value} "):
        spec.checked()


@pytest.mark.parametrize(
    ("source", "name"), [(source, name) for source in PaiSource for name in VALUES if name not in FULL[source]]
)
@pytest.mark.parametrize("empty", [True, False])
def test_foreign_parameter_is_an_error(source: PaiSource, name: str, empty: bool) -> None:
    spec = GroupSpec(source=source, **(FULL[source] | {name: "" if empty else VALUES[name]}))
    with pytest.raises(InvalidInputError, match=rf"^{name} is not for source {source.value} "):
        spec.checked()


@pytest.mark.parametrize("source", [PaiSource.CSV, PaiSource.MAXCOMPUTE])
@pytest.mark.parametrize("phone_number", [None, False])
def test_column_is_needed_for_phone_numbers_only(source: PaiSource, phone_number: bool | None) -> None:
    values = {**FULL[source], "column": None, "phone_number": phone_number}
    assert GroupSpec(source=source, **values).checked().column is None


@pytest.mark.parametrize("name", ["name", "remark", "column", "filter", "project"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((b"x", "a bytes, not text"), (["x"], "a list, not text"), (UnicodeError(), "a UnicodeError, not text")),
        *((True, "a bool.*render_template_as_native_obj"), (1e5, "a float.*render_template_as_native_obj")),
    ],
)
def test_text_parameters_are_text(name: str, value: Any, said: str) -> None:
    values = {**FULL[PaiSource.MAXCOMPUTE], name: value}
    with pytest.raises(InvalidInputError, match=f"^{name} is {said}"):
        GroupSpec(source=PaiSource.MAXCOMPUTE, **values).checked()


@pytest.mark.parametrize("name", ["name", "remark", "column", "filter", "project", "table"])
def test_whole_numbers_are_taken_as_their_text(name: str) -> None:
    values: dict[str, Any] = {**FULL[PaiSource.MAXCOMPUTE], name: 20260930}
    spec = GroupSpec(source=PaiSource.MAXCOMPUTE, **values).checked()
    assert getattr(spec, name) == "20260930"
    assert spec.checked() == spec


@pytest.mark.parametrize("name", ["name", "remark", "column"])
@pytest.mark.parametrize("value", ["", " \n", "None"])
def test_empty_optional_text_is_left_out(name: str, value: str) -> None:
    values: dict[str, Any] = {**FULL[PaiSource.MAXCOMPUTE], "phone_number": False, name: value}
    assert name.capitalize() not in GroupSpec(source=PaiSource.MAXCOMPUTE, **values).checked().to_api()


@pytest.mark.parametrize("value", ["", " \n", "None"])
def test_an_empty_filter_would_mean_the_whole_table(value: str) -> None:
    values: dict[str, Any] = {**FULL[PaiSource.MAXCOMPUTE], "filter": value}
    with pytest.raises(InvalidInputError, match=r"^filter (is empty|was rendered to None)"):
        GroupSpec(source=PaiSource.MAXCOMPUTE, **values).checked()


def test_a_column_that_is_needed_may_not_be_empty() -> None:
    values: dict[str, Any] = {**FULL[PaiSource.MAXCOMPUTE], "phone_number": True, "column": " "}
    with pytest.raises(InvalidInputError, match=r"^column is missing"):
        GroupSpec(source=PaiSource.MAXCOMPUTE, **values).checked()


@pytest.mark.parametrize("value", ["yes", 1, 0, "", "None"])
def test_phone_number_is_a_boolean(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="phone_number must be True or False"):
        GroupSpec(source=PaiSource.TEXT_FILE, uri=URI, phone_number=value).checked()


@pytest.mark.parametrize(("value", "source"), [(0, 0), ("0", 0), (4, 4), (" 3 ", 3), (2.0, 2), (PaiSource.CSV, 2)])
def test_source_in_any_form(value: Any, source: int) -> None:
    assert parse_source(value) is PaiSource(source)


@pytest.mark.parametrize("value", [None, True, False, 5, -1, "x", "", 1.5, "\uff11", [], "1_0"])
def test_no_such_source(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"source must be one of 0 \(text\), 1 \(text_file\)"):
        parse_source(value)


class TestText:
    def test_at_most_100_numbers(self) -> None:
        lines = "\n".join(numbers(MAX_TEXT_NUMBERS))

        assert MAX_TEXT_NUMBERS == 100
        assert text_spec(lines).text == lines

    def test_101_are_refused_with_advice(self) -> None:
        with pytest.raises(InvalidInputError, match=r"101 phone numbers.*at most 100.*text file on OSS.*source=1"):
            text_spec("\n".join(numbers(101)))

    def test_duplicates_count_once(self) -> None:
        lines = numbers(100)
        assert text_spec("\n".join([*lines, *lines, f"+86 {lines[0]}"])).text == "\n".join(lines)

    @pytest.mark.parametrize("text", ["\n", " \n\t\n", "\ufeff"])
    def test_no_number_at_all(self, text: str) -> None:
        with pytest.raises(InvalidInputError):
            text_spec(text)
        with pytest.raises(InvalidInputError):
            text_spec("\ufeff\n")

    def test_any_format(self) -> None:
        assert text_spec(" +1 415 555 2671 \n\n+1 415 555 2671", phone_format="any").text == "+14155552671"

    def test_unknown_format(self) -> None:
        with pytest.raises(InvalidInputError, match="phone_format must be"):
            text_spec("13900001111", phone_format="us")

    def test_zero_and_false_are_values(self) -> None:
        spec = GroupSpec(source=PaiSource.TEXT, text="13900001111", phone_number=False).checked()
        assert spec.to_api() == {"Source": 0, "Text": "13900001111", "PhoneNumber": False}


class TestOssUri:
    @pytest.mark.parametrize(
        "uri",
        [
            URI,
            "https://bucket.region.aliyuncs.com/folder/file",
            "https://bucket.oss-cn-hangzhou-internal.aliyuncs.com/k",
            "https://bucket.oss-accelerate.aliyuncs.com/%E4%B8%AD%20x.txt",
        ],
    )
    def test_good(self, uri: str, caplog: pytest.LogCaptureFixture) -> None:
        assert GroupSpec(source=PaiSource.TEXT_FILE, uri=uri).checked().uri == uri
        assert caplog.records == []

    @pytest.mark.parametrize(
        ("uri", "message"),
        [
            ("oss://bucket/key", "oss:// form"),
            ("http://bucket.oss-cn-hangzhou.aliyuncs.com/k", "no OSS address"),
            (" https://bucket.oss-cn-hangzhou.aliyuncs.com/k", "white space"),
            ("https://bucket.oss-cn-hangzhou.aliyuncs.com/k\n", "white space"),
            ("https://bucket.oss-cn-hangzhou.aliyuncs.com:99999/k", "not an address"),
            ("bucket/key", "no OSS address"),
            ("/tmp/file", "no OSS address"),
            ("https://example.com/key", "no OSS address"),
            ("https://bucket.oss-cn-hangzhou.evilaliyuncs.com/key", "no OSS address"),
            ("https://bucket.oss-cn-hangzhou.aliyuncs.com.evil.com/key", "no OSS address"),
            ("https://oss-cn-hangzhou.aliyuncs.com/bucket/key", "no OSS address"),
            ("https://aliyuncs.com/key", "no OSS address"),
            ("https://.oss-cn-hangzhou.aliyuncs.com/key", "no OSS address"),
            ("ftp://bucket.oss-cn-hangzhou.aliyuncs.com/key", "no OSS address"),
            ("https://bu.oss-cn-hangzhou.aliyuncs.com/key", "names no OSS bucket"),
            ("https://my_bucket.oss-cn-hangzhou.aliyuncs.com/key", "names no OSS bucket"),
            ("https://bucket-.oss-cn-hangzhou.aliyuncs.com/key", "names no OSS bucket"),
            (f"https://{'b' * 64}.oss-cn-hangzhou.aliyuncs.com/key", "names no OSS bucket"),
            ("https://bucket.oss-cn-hangzhou.aliyuncs.com", "names no file"),
            ("https://bucket.oss-cn-hangzhou.aliyuncs.com/", "names no file"),
            ("https://user:pw@bucket.oss-cn-hangzhou.aliyuncs.com/k", "user name or password"),
            ("https://user@bucket.oss-cn-hangzhou.aliyuncs.com/k", "user name or password"),
            ("https://:pw@bucket.oss-cn-hangzhou.aliyuncs.com/k", "user name or password"),
            ("https://[bad/key", "not an address"),
        ],
    )
    def test_bad(self, uri: str, message: str) -> None:
        with pytest.raises(InvalidInputError, match=message) as caught:
            GroupSpec(source=PaiSource.CSV, uri=uri).checked()
        assert "pw" not in str(caught.value)

    @pytest.mark.parametrize(
        "query", ["Signature=s3cret", "OSSAccessKeyId=s3cret", "x-oss-signature=s3cret", "security-token=s3cret"]
    )
    def test_signed_url_warns_and_passes(self, query: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        check_oss_uri(f"{URI}?Expires=1&{query}")

        assert "signed URL" in caplog.text
        assert "s3cret" not in caplog.text
