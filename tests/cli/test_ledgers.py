"""``ledger verify``: what is damaged is named, and the exit code says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_all_is_well(form: str, run: Run, stored: Any) -> None:
    before = stored.contents()
    ended = run("ledger", "verify", "-o", form)
    assert (ended.code, ended.err) == (0, "")
    found = [(row["audience"], row["holds"], row["members"], row["status"]) for row in ended.content(form)]
    assert found == [
        (stored.audience_id, "manifest", None, "ok"),
        (stored.audience_id, "ledger", 10, "ok"),
        (stored.package, "manifest", None, "ok"),
        (stored.package, "ledger", 3, "ok"),
    ]
    assert stored.contents() == before


def test_one_audience_only(run: Run, stored: Any) -> None:
    found = run("ledger", "verify", stored.package, "-o", "json").content()
    assert {row["audience"] for row in found} == {stored.package}


def test_damage_is_named(run: Run, stored: Any) -> None:
    (ledger,) = stored.folder(stored.audience_id).glob("ledger-*")
    ledger.write_bytes(ledger.read_bytes()[:-30])
    (other,) = stored.folder(stored.package).glob("ledger-*")
    other.unlink()
    ended = run("ledger", "verify", "-o", "json")
    assert ended.code == 1
    found = {row["file"]: row["status"] for row in ended.content() if row["status"] != "ok"}
    assert found == {ledger.name: "damaged", other.name: "missing"}
    assert ended.err.startswith("error: files that are missing or damaged: 2. Restore them")
    assert "damaged" in run("ledger", "verify").out
    assert run("ledger", "verify", stored.package).code == 1


def test_nothing_to_verify(run: Run) -> None:
    ended = run("ledger", "verify")
    assert (ended.code, ended.out) == (0, "No audience has a ledger.\n")
    assert run("ledger", "verify", "nobody").code == 1
