"""Memory for a billion members: sets with few parts, of which each is as large as a part of such a set is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BILLION = 10**9
MOST_MEGABYTES = 200
"""What one task may take beside what Python, NumPy and DuckDB take for a set of any size."""

SCRIPT = """
import json, sys, tempfile
from pathlib import Path
import numpy as np
from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_runs import KeySetBuilder
from airflow_provider_audiences.members.keys.key_set import KeySetWriter, side_by_side
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync.ledger import LedgerRows, LedgerWriter
from airflow_provider_audiences.sync.plan import PlanRules, make_plan
from airflow_provider_audiences.sync.state.delivered import Delivered
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.fold import fold
from airflow_provider_audiences.sync.state.tables import StateTables

members, folder = int(sys.argv[1]), Path(sys.argv[2])
part_keys = members // key_order.PARTS
key_order.PART_BITS, key_order.PARTS = 4, 16  # more parts than are worked on ahead
count = part_keys * key_order.PARTS
NOW = 1_800_000_000
chance = np.random.default_rng(1)
peaks = {}

def note(name):
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    peaks[name] = int(peak.split()[1]) // 1024

def random_keys(count):
    for first in range(0, count, 50_000):
        yield chance.integers(0, 2**64, (min(50_000, count - first), 2), np.uint64)

def work(count):
    settings = StagingSettings(temp_folder=folder)
    with open_workspace(settings) as workspace, KeySetBuilder(workspace.folder) as builder:
        for keys in random_keys(count):
            builder.add(keys)
        source = builder.finish()
        writer = LedgerWriter(workspace)  # who is in the source, but for one of a hundred
        for (rows,) in side_by_side(source):
            keys = source.rows(rows).keys
            keys = keys[chance.random(len(keys)) < 0.99]
            times = np.full(len(keys), NOW + 1000, np.uint32)
            writer.add(LedgerRows(keys=keys, earliest_expiry=times, latest_expiry=times))
        ledger = writer.finish()
        rules = PlanRules(now=NOW, due_before=NOW, ttl_seconds=1000, replaces=False, removes=True)
        nobody = KeySetWriter(workspace.new_file()).finish()
        plan = make_plan(source, nobody, ledger, rules=rules, workspace=workspace)
        delivered = Delivered(begun_at=NOW)
        delivered.additions.add(0, plan.additions.count, began=NOW, ended=NOW)
        tables = StateTables(LocalFileStore(folder / "state"), workspace, key_column="advertising_id")
        rows = fold(ledger, plan, delivered, now=NOW, late_effect_seconds=100, late_until=0)
        new = tables.store_ledger(f"ledger-{count}.parquet", rows, now=NOW)
        assert new.stored.members == source.count
        return tables.ledger(new.stored.file, fingerprint=new.stored.fingerprint).keys.count == source.count

assert work(1_000)
note("few members")
assert work(count)
note("large parts")
print(json.dumps({"part_keys": part_keys, **peaks}))
"""


@pytest.mark.parametrize("members", [BILLION])
def test_a_part_of_a_billion(members: int, tmp_path: Path) -> None:
    """From staging to the ledger of the next day, a few parts are in memory at a time, each a 4,096th of the whole."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(members), str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["part_keys"] == members // 4096
    assert found["large parts"] - found["few members"] < MOST_MEGABYTES, found
