"""Fields that hold people: what is shown of them, stored of them, and what is left as it is."""

import copy
import datetime as dt
import decimal
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, ObjectStoragePath, XComArg, task_group
from hypothesis import given
from hypothesis import strategies as st
from support.airflow_versions import Serialization, rendered_fields

from airflow_provider_audiences.common.masked import ArgumentsField, Masked, revealed
from airflow_provider_audiences.common.recognition import (
    is_data_frame,
    is_member_text,
    is_path_list,
    shown_address,
)
from airflow_provider_audiences.members.identifiers.patterns import ALL_PATTERNS
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.sources.joined import joined

try:
    from airflow.sdk import literal
except ImportError:
    try:
        from airflow.template.templater import (  # type: ignore[import-not-found, no-redef]
            LiteralValue as literal,  # noqa: N813
        )
    except ImportError:  # Airflow 3.0
        from airflow.sdk.definitions._internal.templater import LiteralValue as literal  # noqa: N813

ID = "1e1e1e1e-ABCD-4000-8000-00000000feed"
PHONE = "13912345678"
SIGNED = "https://bucket.oss-cn-hangzhou.aliyuncs.com/people.txt?Signature=sesame"
uuids = st.uuids().map(str)


def _dag() -> Any:
    return DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC))


def upload(source: Any) -> AppLovinAppendUsersOperator:
    return AppLovinAppendUsersOperator(task_id="task", audience_id="a", source=source)


def create(**arguments: Any) -> PaiCreateGroupOperator:
    return PaiCreateGroupOperator(task_id="task", source=0, **arguments)


MASKED_SOURCES = [
    [ID],
    (ID,),
    {ID},
    iter([ID]),
    {ID: 1},
    ID,
    f" {ID}\n",
    f"'{ID}'",
    f"{ID}\n{ID}",
    f"{ID},{ID}",
    str([ID, ID]),
    json.dumps([ID, "idfa"]),
    f"idfa,{ID}",
    "no-id\nno-id",
    ID.encode(),
    f"{ID}\n{{{{ ds }}}}",
    literal([ID]),
    literal(ID),
]


@pytest.mark.parametrize("source", MASKED_SOURCES, ids=lambda value: type(value).__name__)
def test_members_are_not_in_what_airflow_stores(source: Any) -> None:
    with _dag() as dag:
        operator = upload(source)
    for text in (json.dumps(Serialization.to_dict(dag)), json.dumps(rendered_fields(operator)), repr(operator)):
        assert ID not in text
        assert ID.lower() not in text
    assert re.search("members?, not shown", json.dumps(rendered_fields(operator)))


FRAMES = [
    pd.DataFrame({"idfa": [ID, ID]}),
    pd.Series([ID, ID]),
    pl.DataFrame({"idfa": [ID, ID]}),
    pl.Series("idfa", [ID, ID]),
    pa.table({"idfa": [ID, ID]}),
    pl.LazyFrame({"idfa": [ID, ID]}),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda value: f"{type(value).__module__}.{type(value).__name__}")
def test_data_frames_are_shown_as_what_they_are(frame: Any) -> None:
    with _dag() as dag:
        operator = upload(frame)
    rows = "" if isinstance(frame, pl.LazyFrame) else " of 2 rows"
    assert rendered_fields(operator)["source"] == f"<data frame{rows}, not shown>"
    stored = json.dumps(Serialization.to_dict(dag)) + repr(operator)
    assert ID not in stored
    assert revealed(operator.source) is frame
    operator.render_template_fields({})
    assert revealed(operator.source) is frame


@pytest.mark.parametrize(
    "value", [[ID], "x", {"a": 1}, None, 7, iter([]), Path("/a")], ids=lambda value: type(value).__name__
)
def test_what_is_no_data_frame(value: Any) -> None:
    assert not is_data_frame(value)


class _Exporting:
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        raise NotImplementedError


def test_whatever_hands_arrow_data_over_is_a_data_frame() -> None:
    assert is_data_frame(_Exporting())
    assert repr(upload(_Exporting()).source) == "<data frame, not shown>"


@pytest.mark.parametrize(
    "value",
    [
        ["s3://bucket/a", "/data/b", "./c", "../d", "~/e", " /f\n"],
        ("/a",),
        [Path("a"), ObjectStoragePath("file:///a"), "s3://b/{{ ds }}"],
        [f"/data/{ID}.txt"],
    ],
    ids=repr,
)
def test_lists_of_paths_are_shown_as_they_are(value: Any) -> None:
    assert is_path_list(value)
    assert upload(value).source is value


@pytest.mark.parametrize(
    "value",
    [
        [],
        ["a.txt", "b.txt"],
        [ID],
        ["/a", ID],
        ["/a", None],
        ["/a", f"/b,{ID}"],
        {"/a"},
        "/a",
        [b"/a"],
        [["/a"]],
    ],
    ids=repr,
)
def test_what_is_no_list_of_paths(value: Any) -> None:
    assert not is_path_list(value)
    if not isinstance(value, str):
        assert isinstance(upload(value).source, Masked)


def test_a_list_of_addresses_is_shown_without_their_secrets() -> None:
    value = ["s3://me:sesame@bucket/a", "/b"]
    operator = upload(value)
    assert revealed(operator.source) is value
    assert rendered_fields(operator)["source"] == "['s3://me:***@bucket/a', '/b']"


class _Called:
    arguments = ArgumentsField()


@pytest.mark.parametrize(
    ("given", "masked"),
    [
        ([ID, "x"], [0]),
        (("x", [ID], {"a": {ID}}, {ID: 1}, ID.encode()), [1, 2, 3, 4]),
        ({"ids": [ID], "day": "{{ ds }}", "path": f"s3://b/{ID}", "n": 7, "none": None}, ["ids"]),
        ([FRAMES[0], FRAMES[5], len], [0, 1]),
        ([["2024-01-02", 13912345678], {"a": (1, 2)}], []),
    ],
)
def test_arguments_of_functions_are_masked_if_they_have_members(given: Any, masked: list[Any]) -> None:
    called = _Called()
    called.arguments = given
    assert type(called.arguments) is type(given)
    pairs = called.arguments.items() if isinstance(given, dict) else enumerate(called.arguments)
    assert [key for key, value in pairs if isinstance(value, Masked)] == masked
    assert ID not in repr(called.arguments).replace(f"s3://b/{ID}", "")


@pytest.mark.parametrize(
    "source",
    [
        "/data/ids.txt",
        f"/data/{ID}.txt",
        f"/data/{ID}/part-00000-{ID}-c000.txt.gz",
        f"s3://my_conn@bucket/{ID}",
        f"gs://bucket/export={ID}/ids.gz",
        "{{ ti.xcom_pull('ids') }}",
        "{% if x %}\n/a\n{% endif %}",
        f"{{{{ ti.xcom_pull('{ID}') }}}}",
        Path("/data/ids.txt"),
        ObjectStoragePath("file:///data/ids.txt"),
        None,
    ],
    ids=repr,
)
def test_paths_and_templates_are_shown_as_they_are(source: Any) -> None:
    operator = upload(source)
    assert operator.source is source
    assert "not shown" not in json.dumps(rendered_fields(operator))


@pytest.mark.parametrize(
    "text", [PHONE, [PHONE], (PHONE,), f"{PHONE}\n{{{{ ds }}}}", literal(PHONE), int(PHONE)], ids=repr
)
def test_phone_numbers_are_not_in_what_airflow_stores(text: Any) -> None:
    with _dag() as dag:
        operator = create(text=text)
    for shown in (json.dumps(Serialization.to_dict(dag)), json.dumps(rendered_fields(operator)), repr(operator)):
        assert PHONE not in shown
    assert isinstance(operator.text, Masked)


@pytest.mark.parametrize(
    "source", [int(PHONE), PHONE.encode(), bytearray(PHONE.encode()), literal(int(PHONE)), PHONE, [PHONE]], ids=repr
)
def test_phone_numbers_for_a_source_are_not_in_what_airflow_stores(source: Any) -> None:
    with _dag() as dag:
        operator = PaiSyncGroupOperator(task_id="task", name="VIP", source=source)
    for shown in (json.dumps(Serialization.to_dict(dag)), json.dumps(rendered_fields(operator)), repr(operator)):
        assert PHONE not in shown
    assert isinstance(operator.source, Masked)


def test_the_part_of_an_address_that_opens_a_file_is_not_stored() -> None:
    with _dag() as dag:
        operator = PaiCreateGroupOperator(task_id="task", source=1, uri=SIGNED)
        AppLovinAppendUsersOperator(task_id="append", audience_id="a", source="s3://key:sesame@bucket/ids.txt?t=sesame")
    stored = json.dumps(Serialization.to_dict(dag)) + json.dumps(rendered_fields(operator))
    assert "sesame" not in stored
    assert "bucket.oss-cn-hangzhou.aliyuncs.com/people.txt" in stored
    assert revealed(operator.uri) == SIGNED
    template = "https://bucket/{{ ds }}?Signature={{ var.value.x }}"
    assert PaiCreateGroupOperator(task_id="task", source=1, uri=template).uri is template


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/data/ids.txt", "/data/ids.txt"),
        ("ids?x#y", "ids?x#y"),
        ("s3://conn@bucket/k", "s3://conn@bucket/k"),
        ("s3://me:pw@bucket/k", "s3://me:***@bucket/k"),
        ("https://host/k?a=b#c", "https://host/k?…"),
        ("https://host/k#c", "https://host/k"),
        ("s3://bucket/a#1.csv", "s3://bucket/a#1.csv"),
        ("https://[broken/k", "https://[broken/k"),
    ],
)
def test_what_is_shown_of_an_address(address: str, shown: str) -> None:
    assert shown_address(address) == shown


def test_what_is_rendered_is_masked_again() -> None:
    for native, source in ((False, "{{ params.ids | join(',') }}"), (True, "{{ params.ids }}")):
        dag = DAG(
            "dag",
            schedule=None,
            start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
            render_template_as_native_obj=native,
        )
        with dag:
            operator = upload(source)
            text = PaiCreateGroupOperator(task_id="text", source=0, text="{{ params.phones }}")
        operator.render_template_fields({"params": {"ids": [ID, ID], "phones": PHONE}})
        assert isinstance(operator.source, Masked)
        assert ID not in json.dumps(rendered_fields(operator))
        assert revealed(operator.source) == ([ID, ID] if native else f"{ID},{ID}")
        text.render_template_fields({"params": {"phones": PHONE}})
        assert PHONE not in json.dumps(rendered_fields(text))
        assert str(revealed(text.text)) == PHONE


def test_a_path_is_rendered_and_shown() -> None:
    operator = upload("/data/{{ params.day }}.txt")
    operator.render_template_fields({"params": {"day": "2024-01-01"}})
    assert operator.source == "/data/2024-01-01.txt"


def test_a_list_is_rendered_before_it_is_known_what_it_holds() -> None:
    operator = upload(["{{ 1 + 1 }}", [ID, "{{ params.day }}"], Path("/a")])
    assert repr(operator.source) == "['{{ 1 + 1 }}', [<members, not shown>, '{{ params.day }}'], PosixPath('/a')]"
    operator.render_template_fields({"params": {"day": ID}})
    assert joined(operator.source) == ["2", ID, ID, Path("/a")]
    assert ID not in json.dumps(rendered_fields(operator))


def test_a_list_with_output_of_another_task_waits_for_it_and_masks_members() -> None:
    with _dag() as dag:
        output = Upstream(task_id="upstream").output
        upload([output, ID, [ID, "/a"]])
        AppLovinAppendUsersOperator.partial(task_id="shared", source=(ID, output)).expand(audience_id=["a"])
        PaiCreateGroupOperator(task_id="text", source=0, text=[output, PHONE])
        PaiSyncGroupOperator(task_id="sync", name="VIP", source=[output, int(PHONE)])
    for task_id in ("task", "shared", "text", "sync"):
        assert dag.get_task(task_id).upstream_task_ids == {"upstream"}
    stored = json.dumps(Serialization.to_dict(dag))
    assert stored.count("<output of upstream>") == 4
    assert ID not in stored
    assert PHONE not in stored


@pytest.mark.parametrize(
    "make",
    [
        lambda values: upload(literal(values)),
        lambda values: (
            AppLovinAppendUsersOperator.partial(task_id="t", audience_id="a")
            .expand(source=[values])
            .unmap({"source": values})
        ),
    ],
    ids=["literal", "mapped"],
)
def test_data_is_never_rendered(make: Callable[..., Any]) -> None:
    """Whoever writes a template into a table of members must not have it run."""
    values = [ID, "{{ 1 + 1 }}", None]
    with _dag():
        operator = make(values)
    assert isinstance(operator.source, Masked)
    operator.render_template_fields({})
    assert revealed(operator.source) is values


def test_what_another_task_returned_is_not_rendered_again() -> None:
    values = [ID, "{{ 1 + 1 }}", None]
    with _dag():
        operator = upload(Upstream(task_id="upstream").output)
    operator.source = values  # as Airflow does when it has rendered the field
    assert joined(operator.source) == values
    assert ID not in repr(operator.source)


@pytest.mark.parametrize("source", [f"\u200b{ID}", f"{ID}\u3000", ID.replace("0", "\uff10"), f"\u202a{ID}\u202c"])
def test_spellings_that_are_read_are_masked(source: str) -> None:
    assert isinstance(upload(source).source, Masked)
    assert isinstance(upload([source]).source, Masked)
    assert is_member_text(source)


SPELLINGS = [
    PHONE.translate({ord(str(value)): 0xFF10 + value for value in range(10)}),
    f"\uff0b86{PHONE}",
    f"\u202a+86 {PHONE}\u202c",
    "139\u20111234\u20115678",
    "139\u00a01234\u00a05678",
    f"\u200b{PHONE}\u200b",
    "\uff08139\uff0912345678",
]


@pytest.mark.parametrize("source", [*SPELLINGS, float(PHONE), decimal.Decimal(PHONE)], ids=ascii)
def test_spellings_of_phone_numbers_that_are_read_are_masked(source: Any) -> None:
    operator = PaiSyncGroupOperator(task_id="task", name="VIP", source=source)
    assert isinstance(operator.source, Masked)
    called = _CalledWithPhones()
    called.arguments = [source, [source], {"a": source}]
    assert all(isinstance(value, Masked) for value in called.arguments)
    if isinstance(source, str):
        assert is_member_text(source, ALL_PATTERNS)
        assert isinstance(create(text=f"{source}{{{{ ds }}}}").text, Masked)
        assert isinstance(create(text=["{{ ds }}", source]).text.items[1], Masked)


class _CalledWithPhones:
    arguments = ArgumentsField(ALL_PATTERNS)


class Upstream(BaseOperator):
    def execute(self, context: Any) -> None:  # noqa: ARG002 - the name is Airflow's
        return None


def test_what_comes_later_is_left_for_airflow_to_bring() -> None:
    with _dag() as dag:
        output = Upstream(task_id="upstream").output
        param = dag.param("phones", default="1")
        by_xcom, by_param = create(text=output), PaiCreateGroupOperator(task_id="param", source=0, text=param)
        called = PaiCreateGroupOperator(task_id="callable", source=0, text=_make_text)
    assert by_xcom.text is output
    assert isinstance(by_xcom.text, XComArg)
    assert by_param.text is param
    assert called.text is _make_text


def _make_text(context: Any, jinja_env: Any) -> str:
    return PHONE


def test_arguments_of_a_mapped_task_group_are_left_for_airflow_to_bring() -> None:
    with _dag() as dag:
        phones = Upstream(task_id="phones").output

        @task_group
        def each(text: Any, source: Any) -> None:
            PaiCreateGroupOperator(task_id="create", source=0, text=text)
            AppLovinAppendUsersOperator(task_id="append", audience_id="a", source=source)

        each.expand(text=phones, source=phones)
    assert not isinstance(dag.get_task("each.create").text, Masked)
    assert not isinstance(dag.get_task("each.append").source, Masked)
    json.dumps(Serialization.to_dict(dag))


@pytest.mark.parametrize(
    "make",
    [
        lambda: AppLovinAppendUsersOperator.partial(task_id="t", source=[ID]).expand(audience_id=["a"]),
        lambda: AppLovinAppendUsersOperator.partial(task_id="t", audience_id="a").expand(
            source=[[ID], (ID,), ID, "/p"]
        ),
        lambda: AppLovinAppendUsersOperator.partial(task_id="t", audience_id="a").expand(source=([ID],)),
        lambda: AppLovinAppendUsersOperator.partial(task_id="t").expand_kwargs([{"audience_id": "a", "source": [ID]}]),
        lambda: PaiCreateGroupOperator.partial(task_id="t", source=0, text=PHONE).expand(name=["a"]),
        lambda: PaiCreateGroupOperator.partial(task_id="t", source=0).expand(text=[[PHONE], PHONE]),
        lambda: PaiCreateGroupOperator.partial(task_id="t", source=0).expand_kwargs([{"text": PHONE}]),
        lambda: PaiCreateGroupOperator.partial(task_id="t", source=1).expand(uri=[SIGNED]),
    ],
)
def test_mapped_tasks_mask_too(make: Callable[..., Any]) -> None:
    with _dag() as dag:
        mapped = make()
    shown = json.dumps(Serialization.to_dict(dag)) + repr(mapped) + repr(mapped.partial_kwargs)
    for personal in (ID, PHONE, "sesame"):
        assert personal not in shown


def test_a_mapped_task_that_was_never_expanded_masks_too() -> None:
    partial = PaiCreateGroupOperator.partial(task_id="t", source=0, text=PHONE)
    assert PHONE not in repr(partial)
    partial.expand(name=["a"])


def test_what_a_mapped_task_gets_is_what_was_given() -> None:
    with _dag():
        mapped = AppLovinAppendUsersOperator.partial(task_id="t", audience_id="a").expand(source=[[ID], "/p"])
    assert [revealed(item) for item in mapped.expand_input.value["source"]] == [[ID], "/p"]
    assert revealed(mapped.unmap({"source": mapped.expand_input.value["source"][0]}).source) == [ID]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([ID] * 3, "<3 members, not shown>"),
        ({ID}, "<1 member, not shown>"),
        (ID, "<members, not shown>"),
        (ID.encode(), "<members, not shown>"),
        (iter([ID]), "<members, not shown>"),
        (7, "<members, not shown>"),
    ],
)
def test_how_masked_data_looks(value: Any, shown: str) -> None:
    masked = Masked(value)
    assert repr(masked) == str(masked) == f"{masked}" == masked.serialize() == shown
    assert revealed(masked) is value
    # Copied with each task that Airflow copies: never the data itself.
    assert revealed(copy.deepcopy(masked)) is value
    assert copy.copy(masked) is masked
    assert not hasattr(masked, "__dict__")
    assert not any(getattr(masked, name) is value for name in Masked.__slots__)
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(masked)


def test_a_field_that_was_never_set_is_no_attribute() -> None:
    operator = AppLovinAppendUsersOperator.__new__(AppLovinAppendUsersOperator)
    assert not hasattr(operator, "source")
    assert not isinstance(AppLovinAppendUsersOperator.source, str | list)


@given(st.lists(uuids, min_size=1), st.sampled_from([",", ", ", ";", "\n", " ", "\t", "|", "', '", '","']))
def test_any_list_of_ids_as_text_is_known_for_one(ids: Any, separator: str) -> None:
    for text in (separator.join(ids), separator.join(ids).upper(), str(ids), json.dumps(ids), str(set(ids))):
        assert is_member_text(text)
        assert isinstance(upload(text).source, Masked)


@given(st.lists(st.from_regex(r"[a-z0-9_=.-]{1,12}", fullmatch=True) | uuids, min_size=2, max_size=5))
def test_any_path_is_known_for_one(parts: Any) -> None:
    for text in ("/" + "/".join(parts), f"s3://{'/'.join(parts)}.txt", f"./{'/'.join(parts)}.gz"):
        assert not is_member_text(text)
        assert upload(text).source == text
