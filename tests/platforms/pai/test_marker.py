"""The mark in a group's remark: readable, found again, and silent about members."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.pai.auth import AccessKeyAuth, ApiKeyAuth, ChangingKeyAuth, PaiAuth
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.marker import GroupMarker
from airflow_provider_audiences.platforms.pai.signing import AccessKey
from airflow_provider_audiences.redaction import Secret

RUN = "scheduled__2026-11-20T00:00:00+00:00"
SPEC = GroupSpec(source=PaiSource.ALGORITHM, name="VIP", algorithm="recall", inference_job_id="job", remark="mine")
PHONES = GroupSpec(source=PaiSource.TEXT, name="VIP", text="13900001111\n13900002222", phone_number=True)
FILE = GroupSpec(source=PaiSource.TEXT_FILE, name="VIP", uri="https://b.oss-cn-hangzhou.aliyuncs.com/k")
MARKER = GroupMarker(origin="d.t", run="r", owner="0123abcd", idempotency_key="0123456789ab")


def key(secret: str, token: str | None = None, key_id: str = "id") -> AccessKey:
    return AccessKey(key_id=key_id, secret=Secret(secret), security_token=Secret(token) if token else None)


KEYED: dict[str, tuple[PaiAuth, PaiAuth]] = {
    "API key": (ApiKeyAuth(Secret("one")), ApiKeyAuth(Secret("two"))),
    "AccessKey": (AccessKeyAuth(key("one")), AccessKeyAuth(key("two"))),
}
UNKEYED: dict[str, tuple[PaiAuth, PaiAuth]] = {
    "STS": (AccessKeyAuth(key("one", "t1")), AccessKeyAuth(key("two", "t2", "id 2"))),
    "chain": (
        ChangingKeyAuth(lambda: key("one"), account="a"),
        ChangingKeyAuth(lambda: key("two", "t"), account="b"),
    ),
}
ALL = {**KEYED, **UNKEYED}


@pytest.fixture
def mark(make_pai: Callable[..., PaiClient]) -> Callable[..., GroupMarker]:
    """Marks a group: ``mark(auth, run=…)``."""

    def of(auth: PaiAuth = KEYED["API key"][0], **changes: Any) -> GroupMarker:
        given: dict[str, Any] = {"provenance": "my_dag.my_task", "run": RUN, "spec": SPEC}
        return make_pai(auth=auth).marker(**(given | changes))

    return of


Mark = Callable[..., GroupMarker]


class TestText:
    def test_people_can_read_it(self, mark: Mark) -> None:
        text = mark().text
        assert re.fullmatch(rf"\[airflow my_dag\.my_task {re.escape(RUN)} #[0-9a-f]{{8}}\.[0-9a-f]{{12}}\]", text)
        assert f"{RUN} map 3 #" in mark(map_index=3).text
        assert re.search(r"#[0-9a-f]{8}\.[0-9a-f]{12}\.[0-9a-f]{12}\]$", mark(fingerprint="fingerprint").text)
        assert f"{RUN}~12 #" in replace(mark(), sequence=12).text
        assert f"{RUN}~12 map 3 #" in replace(mark(map_index=3), sequence=12).text

    def test_long_and_strange_names(self, mark: Mark) -> None:
        marker = mark(provenance="dag [x] #1 中\n" + "y" * 300, run="中" * 300, map_index=12)

        assert marker.text.isascii()
        assert len(marker.origin) == 60
        assert marker.run == "_" * 40 + " map 12"
        assert len(marker.text) < 170
        assert GroupMarker.read(f"mine {marker.text}") == ("mine", marker)

    @given(
        provenance=st.text(min_size=1).filter(str.strip),
        run=st.text(min_size=1).filter(str.strip),
        map_index=st.integers(-1, 5000),
        fingerprint=st.text(max_size=5),
        remark=st.text(max_size=30),
        sequence=st.integers(0, 999_999_999),
    )
    def test_whatever_is_written_is_read(
        self, provenance: str, run: str, map_index: int, fingerprint: str, remark: str, sequence: int
    ) -> None:
        from airflow_provider_audiences.platforms.pai.marker import make_marker

        arguments: dict[str, Any] = {"spec": SPEC, "secret": None, "clear_count": 0, "fingerprint": fingerprint}
        marker = replace(
            make_marker(provenance=provenance, run=run, map_index=map_index, **arguments), sequence=sequence
        )
        assert GroupMarker.read(f"{remark} {marker.text}") == (remark.rstrip(), marker)

    @pytest.mark.parametrize(
        "remark",
        [
            "",
            "mine",
            "mine ",
            "[airflow]",
            "a [airflow x #123]",
            "#0123456789ab]",
            "[airflow d.t #0123abcd.0123456789ab]",
            "[airflow d.t r #0123ABCD.0123456789ab]",
            "[airflow d.t r #0123abcd.0123456789ab.]",
            "[airflow d.t r #0123abcd.0123456789ab] copied by a person",
            "[airflow d.t r map x #0123abcd.0123456789ab]",
        ],
    )
    def test_remark_of_a_person_is_left_alone(self, pai: PaiClient, remark: str) -> None:
        assert GroupMarker.read(remark) == (remark, None)
        created = pai.create_group(replace(SPEC, remark=remark), marker=MARKER).group
        assert (created.remark, created.marker) == (remark.rstrip(), MARKER)

    def test_an_older_version_reads_all_but_the_sequence(self) -> None:
        """It takes that for a part of the run's id, which is for people only."""
        pattern = (
            r"\[airflow (?P<origin>[^\s\[\]#]+) (?P<run>[^\s\[\]#]+(?: map [0-9]+)?) #(?P<owner>[0-9a-f]{8})"
            r"\.(?P<call>[0-9a-f]{12})(?:\.(?P<members>[0-9a-f]{12}))?(?:@(?P<date>-?[0-9]+(?:[+-][0-9]+)?))?\]\s*\Z"
        )
        marker = replace(MARKER, run="r map 3", content="b" * 12, date="1763596800+86400", sequence=41)
        found = re.search(pattern, f"mine {marker.text}")
        assert found is not None
        assert found.groupdict() == {
            "origin": "d.t",
            "run": "r~41 map 3",
            "owner": marker.owner,
            "call": marker.idempotency_key,
            "members": marker.content,
            "date": marker.date,
        }

    def test_the_last_mark_counts(self) -> None:
        """As in a group that a person copied, and a task then made anew."""
        older = replace(MARKER, idempotency_key="a" * 12)
        assert GroupMarker.read(f"{older.text} {MARKER.text}") == (older.text, MARKER)

    def test_a_long_remark_is_read_at_once(self) -> None:
        remark = " " * 200_000 + "[airflow " * 20_000
        assert GroupMarker.read(remark) == (remark, None)

    def test_group_has_it_and_its_public_form_has_not(self) -> None:
        group = AudienceGroup.from_api({"Id": "g", "Remark": f"mine {MARKER.text}"})

        assert (group.remark, group.marker) == ("mine", MARKER)
        assert group.public()["remark"] == "mine"
        assert "marker" not in group.public()
        assert AudienceGroup.from_api({"Id": "g"}).marker is None


class TestDigests:
    @pytest.mark.parametrize("auths", ALL.values(), ids=ALL)
    @pytest.mark.parametrize("spec", [SPEC, PHONES, FILE], ids=["algorithm", "text", "file"])
    def test_same_key_same_mark(self, mark: Mark, auths: tuple[PaiAuth, PaiAuth], spec: GroupSpec) -> None:
        assert mark(auths[0], spec=spec, fingerprint="m") == mark(auths[0], spec=replace(spec), fingerprint="m")

    @pytest.mark.parametrize("auths", ALL.values(), ids=ALL)
    @pytest.mark.parametrize(
        "changed",
        [
            {"run": "run 2"},
            {"map_index": 0},
            {"clear_count": 1},
            {"fingerprint": "m2"},
            {"spec": replace(SPEC, inference_job_id="job 2")},
            {"spec": replace(SPEC, name="VIP 2")},
            {"spec": replace(SPEC, phone_number=False)},
            {"spec": replace(SPEC, remark="other")},
        ],
        ids=str,
    )
    def test_another_request(self, mark: Mark, auths: tuple[PaiAuth, PaiAuth], changed: dict[str, Any]) -> None:
        first, second = mark(auths[0], fingerprint="m"), mark(auths[0], **{"fingerprint": "m", **changed})

        assert first.owner == second.owner
        assert first.idempotency_key != second.idempotency_key
        assert not first.same_key(second)

    def test_another_owner(self, mark: Mark) -> None:
        first, second = mark(), mark(provenance="my_dag.other")
        assert first.owner != second.owner
        assert not first.same_key(second)

    def test_same_key_of_nothing(self) -> None:
        assert not MARKER.same_key(None)
        assert MARKER.same_key(replace(MARKER, origin="other", run="other", content="0" * 12))

    def test_parts_do_not_run_together(self, mark: Mark) -> None:
        assert mark(run="a", fingerprint="b").idempotency_key != mark(run="ab", fingerprint="").idempotency_key
        assert mark(run="a 1", map_index=-1).idempotency_key != mark(run="a", map_index=1).idempotency_key

    @pytest.mark.parametrize("auths", ALL.values(), ids=ALL)
    def test_without_members_credentials_do_not_matter(self, mark: Mark, auths: tuple[PaiAuth, PaiAuth]) -> None:
        """So a key that is renewed between two tries makes no second group."""
        assert mark(auths[0]) == mark(auths[1])
        assert mark(auths[0], spec=FILE) == mark(auths[1], spec=FILE)

    @pytest.mark.parametrize("auths", KEYED.values(), ids=KEYED)
    def test_what_depends_on_members_is_keyed(self, mark: Mark, auths: tuple[PaiAuth, PaiAuth]) -> None:
        for changes in ({"spec": PHONES}, {"spec": FILE, "fingerprint": "m"}, {"spec": PHONES, "fingerprint": "m"}):
            first, second = (mark(auth, **changes) for auth in auths)
            assert first.owner == second.owner
            assert first.idempotency_key != second.idempotency_key
            assert (first.content != second.content) == ("fingerprint" in changes)
        assert (
            mark(auths[0], spec=PHONES).idempotency_key
            != mark(auths[0], spec=replace(PHONES, text="13900001111\n1390")).idempotency_key
        )

    @pytest.mark.parametrize("auths", UNKEYED.values(), ids=UNKEYED)
    def test_without_a_lasting_secret_numbers_do_not_enter(self, mark: Mark, auths: tuple[PaiAuth, PaiAuth]) -> None:
        other = replace(PHONES, text="13911111111\n13922222222")
        first = mark(auths[0], spec=PHONES, fingerprint="m1")

        assert first == mark(auths[1], spec=other, fingerprint="m2")
        assert first.content == ""
        # How many there are does.
        assert (
            first.idempotency_key
            != mark(auths[0], spec=replace(PHONES, text="13900001111"), fingerprint="m1").idempotency_key
        )

    @pytest.mark.parametrize("auths", UNKEYED.values(), ids=UNKEYED)
    def test_without_a_lasting_secret_big_sets_are_told_apart(self, mark: Mark, auths: tuple[PaiAuth, PaiAuth]) -> None:
        first, second = (mark(auth, spec=FILE, fingerprint="m1") for auth in auths)
        assert first == second
        assert first.content
        assert first.content != mark(auths[0], spec=FILE, fingerprint="m2").content

    def test_no_part_of_a_number_shows(self, mark: Mark) -> None:
        text = mark(spec=PHONES, fingerprint="fingerprint").text
        assert not any(part in text for part in ("1390", "1111", "2222", "fingerprint"))


@pytest.mark.parametrize(
    "arguments", [{"provenance": ""}, {"run": " "}, {"clear_count": -1}, {"provenance": None}], ids=str
)
def test_nonsense_is_refused(mark: Mark, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(arguments))):
        mark(**arguments)


def test_a_group_is_found_by_its_mark_in_both_dialects(
    emulator: AudiencesEmulator, make_pai: Callable[..., PaiClient]
) -> None:
    bearer, openapi = make_pai("bearer"), make_pai("openapi")
    marker = bearer.marker(provenance="d.t", run=RUN, spec=SPEC)
    first = bearer.create_group(SPEC, marker=marker)
    again = openapi.create_group(SPEC, marker=openapi.marker(provenance="d.t", run=RUN, spec=SPEC))

    assert again.adopted
    assert again.group.id == first.group.id
    assert len(emulator.groups()) == 1
