"""A manifest: what is written is read again, and what was changed on the way is noticed."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import LedgerLostError, StateUnavailableError
from airflow_provider_audiences.sync.destination import AudienceAddress
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.sync.state.delivered import Delivered, DeliveredRange, DeliveredRanges
from airflow_provider_audiences.sync.state.late import LateRequests
from airflow_provider_audiences.sync.state.manifest import DirectChangeFiles, KeyFile, Manifest, StoredLedger
from airflow_provider_audiences.sync.state.manifest_file import ManifestFile, Rank, first_format
from airflow_provider_audiences.sync.state.sealing import sealed

texts = st.text(st.characters(codec="utf-8"), max_size=20)
counts = st.integers(0, 2**53)
delivered_ranges = st.lists(st.tuples(st.integers(0, 99), counts, counts), max_size=4).map(
    lambda found: DeliveredRanges(
        DeliveredRange(100 * number, 100 * number + size, began, ended)
        for number, (size, began, ended) in enumerate(found)
    )
)
manifests = st.builds(
    Manifest,
    address=st.builds(
        AudienceAddress,
        api=texts,
        host=st.sampled_from(["h", "api.example.com:8443"]),
        audience_id=texts,
        account=texts,
    ),
    generation=counts,
    ledger=st.builds(StoredLedger, file=texts, members=counts, fingerprint=texts),
    is_content_known=st.booleans(),
    plan_id=texts,
    delivered=st.none()
    | st.builds(
        Delivered,
        begun_at=counts,
        batches=counts,
        is_repeated=st.booleans(),
        additions=delivered_ranges,
        removals=delivered_ranges,
    ),
    replacement_fingerprint=texts,
    late_until=counts,
    is_doubt_in_ledger=st.booleans(),
    late=st.builds(LateRequests, has_removals=st.booleans(), ttl_seconds=st.none() | counts),
    finished_plan_id=texts,
    finished_batches=counts,
    seconds_per_request=st.floats(0, 1e6),
    has_unknown_members=st.booleans(),
    removed_opt_outs_fingerprint=texts,
    direct_changes=st.builds(
        DirectChangeFiles,
        held_back=st.builds(KeyFile, file=texts, fingerprint=texts),
        added_directly=st.builds(KeyFile, file=texts, fingerprint=texts),
    ),
    run_date=st.none() | st.builds(RunDate, logical=st.floats(0, 1e10), end=st.none() | st.floats(0, 1e10)),
)

RANK = Rank(12, 12)
HEAD = Manifest(
    address=AudienceAddress(api="applovin", host="api.example.com", audience_id="a1"),
    generation=12,
    ledger=StoredLedger(file="ledger-12-00ff.parquet", members=1000, fingerprint="0" * 64),
    is_content_known=True,
    plan_id="1" * 16,
    delivered=Delivered(begun_at=1_700_000_000, batches=2, additions=DeliveredRanges([DeliveredRange(0, 10, 5, 6)])),
    late_until=1_700_000_100,
    seconds_per_request=1.25,
    run_date=RunDate(logical=1_767_312_000.0),
    direct_changes=DirectChangeFiles(added_directly=KeyFile(file="hand-00ff.parquet", fingerprint="1" * 64)),
)


def content_of(manifest: Manifest) -> dict[str, Any]:
    """All of it in values that can be compared."""
    content = dict(vars(manifest))
    if manifest.delivered:
        rows = {"additions": manifest.delivered.additions.as_list(), "removals": manifest.delivered.removals.as_list()}
        content["delivered"] = vars(manifest.delivered) | rows
    return content


def file_of(manifest: Manifest | None, rank: Rank = RANK) -> ManifestFile:
    return ManifestFile(rank=rank, writer="0f" * 8, state_id="5" * 64, moved_from="7" * 64, manifest=manifest)


@settings(max_examples=200)
@given(manifest=st.none() | manifests)
def test_round_trip(manifest: Manifest | None) -> None:
    text = file_of(manifest).to_bytes()
    again = ManifestFile.from_bytes(text, RANK, where="w")
    assert (again.writer, again.state_id, again.moved_from) == ("0f" * 8, "5" * 64, "7" * 64)
    assert again.to_bytes() == text
    assert text.isascii()
    if manifest:
        assert again.manifest
        assert content_of(again.manifest) == content_of(manifest)
    else:
        assert again.manifest is None


@settings(max_examples=200)
@given(since=st.integers(1, 10**12 - 1), number=st.integers(1, 10**12 - 1), writer=st.just("") | st.just("0f" * 8))
def test_names(since: int, number: int, writer: str) -> None:
    rank = Rank(since if writer else number, number, writer)
    assert Rank.of(rank.file) == rank


@pytest.mark.parametrize(
    "name", ["head.json", "head-1.json", "head-000000000001.json-00ff.part", "ledger-1-00ff.parquet", "head-.json", ""]
)
def test_other_names(name: str) -> None:
    assert Rank.of(name) is None


def test_people_can_read_it() -> None:
    content = json.loads(file_of(HEAD).to_bytes())
    assert content.pop("checksum")
    manifest = content.pop("head")
    assert content == {
        "format": 3,
        "file": "head-000000000012.json",
        "writer": "0f" * 8,
        "state_id": "5" * 64,
        "moved_from": "7" * 64,
    }
    assert manifest == {
        "platform": "applovin",
        "host": "api.example.com",
        "audience_id": "a1",
        "generation": 12,
        "ledger": {"file": "ledger-12-00ff.parquet", "members": 1000, "fingerprint": "0" * 64},
        "is_known": True,
        "plan_id": "1" * 16,
        "landings": {
            "begun_at": 1_700_000_000,
            "batches": 2,
            "is_repeated": False,
            "is_update_repeated": False,
            "additions": [[0, 10, 5, 6]],
            "removals": [],
        },
        "replacement": "",
        "settled_at": 1_700_000_100,
        "is_doubt_in_ledger": True,
        "late": {"has_removals": True, "ttl_seconds": 0},
        "finished_plan_id": "",
        "finished_batches": 0,
        "seconds_per_request": 1.25,
        "has_strangers": False,
        "purged": "",
        "run_date": [1_767_312_000.0, None],
        "marks": {
            "held_back": {"file": "", "fingerprint": ""},
            "by_hand": {"file": "hand-00ff.parquet", "fingerprint": "1" * 64},
        },
    }


def read_or_refuse(text: bytes) -> bool:
    """Tell whether a text is taken; it then must say the same as before."""
    try:
        manifest = ManifestFile.from_bytes(text, RANK, where="/state/head-12.json").manifest
    except LedgerLostError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert said.startswith("/state/head-12.json is damaged. Restore it from a backup")
        return False
    assert manifest
    assert content_of(manifest) == content_of(HEAD)
    return True


def test_every_byte_counts() -> None:
    """Any byte may become any other: it is noticed, or makes no difference."""
    text = file_of(HEAD).to_bytes()
    taken = 0
    for place in range(len(text)):
        for byte in {
            0,
            9,
            32,
            34,
            44,
            48,
            49,
            57,
            69,
            92,
            101,
            102,
            123,
            125,
            128,
            255,
            text[place] ^ 1,
            text[place] ^ 32,
        }:
            changed = bytearray(text)
            changed[place] = byte
            if bytes(changed) != text:
                taken += read_or_refuse(bytes(changed))
    assert 0 < taken < 400, "white space may be any"


def test_a_text_that_was_cut_or_doubled() -> None:
    text = file_of(HEAD).to_bytes()
    assert not any(read_or_refuse(text[:end]) for end in range(len(text)))
    assert not any(read_or_refuse(text[:place] + text[place + 1 :]) for place in range(len(text)) if text[place] > 32)
    assert not read_or_refuse(text + text)
    assert not read_or_refuse(text + b"}")
    assert read_or_refuse(text + b"\n")


@settings(max_examples=100)
@given(
    text=st.binary(max_size=50)
    | st.recursive(st.none() | st.integers() | texts, st.lists).map(json.dumps).map(str.encode)
)
def test_anything_else(text: bytes) -> None:
    assert not read_or_refuse(text)


@pytest.mark.parametrize(
    "text", [b"{}", b'{"checksum": 1}', b'{"checksum": "", "format": 1}', b"[]", b"null", b"1" * 9999]
)
def test_other_json(text: bytes) -> None:
    assert not read_or_refuse(text)


@pytest.mark.parametrize("name", sorted(json.loads(file_of(HEAD).to_bytes())))
def test_a_value_that_somebody_changed(name: str) -> None:
    content = json.loads(file_of(HEAD).to_bytes())
    content[name] = "else"
    assert not read_or_refuse(json.dumps(content).encode())
    del content[name]
    assert not read_or_refuse(json.dumps(content).encode())


def test_another_file() -> None:
    with pytest.raises(LedgerLostError, match="w is damaged"):
        ManifestFile.from_bytes(file_of(HEAD).to_bytes(), Rank(13, 13), where="w")


@pytest.mark.parametrize("stored_format", [1, 2])
def test_a_version_before_manifests_wrote_it(stored_format: int) -> None:
    """The first format did not say whether there are members that the ledger lacks: there may be."""
    content = {**HEAD.as_json(), "format": stored_format}
    for name in ("marks", *(("has_strangers", "purged", "run_date") if stored_format == 1 else ())):
        del content[name]
    manifest = first_format(sealed(content), where="w")
    if stored_format == 1:
        assert (manifest.has_unknown_members, manifest.removed_opt_outs_fingerprint, manifest.run_date) == (
            True,
            "",
            None,
        )
        assert (manifest.generation, manifest.ledger) == (HEAD.generation, HEAD.ledger)
    else:
        assert content_of(manifest) == content_of(replace(HEAD, direct_changes=DirectChangeFiles()))


def test_a_newer_version_wrote_it() -> None:
    """Another worker may have it: the task's next try."""
    content = json.loads(file_of(HEAD).to_bytes())
    del content["checksum"]
    text = sealed(content | {"format": 4})
    for read, known in (
        (lambda: ManifestFile.from_bytes(text, RANK, where="/state/head-12.json"), 3),
        (lambda: first_format(text, where="/state/head-12.json"), 2),
    ):
        with pytest.raises(StateUnavailableError) as caught:
            read()
        assert str(caught.value) == (
            f"/state/head-12.json has format 4, and this version of airflow-provider-audiences knows {known}; nothing "
            "was sent. Update airflow-provider-audiences on this worker."
        )
