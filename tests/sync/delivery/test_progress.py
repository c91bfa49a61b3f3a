"""Progress: what is counted of batches whose platform counts all, some or nothing."""

from typing import Any, cast

import pytest
from support.memory_destination import MemoryDestination

from airflow_provider_audiences.sync.delivery.progress import Progress
from airflow_provider_audiences.sync.destination import BatchResult


@pytest.mark.parametrize(
    ("counts", "accepted", "rejected", "miscounted"),
    [
        ({"valid": 5, "invalid": 0}, 5, 0, 0),
        ({"valid": 3, "invalid": 2}, 3, 2, 0),
        ({"valid": 3, "invalid": 1}, 3, 1, 1),
        ({"valid": None, "invalid": None}, 5, 0, 0),
        ({"valid": None, "invalid": 2}, 3, 2, 0),
        ({"valid": 4, "invalid": None}, 4, 0, 0),
    ],
)
def test_what_the_platform_does_not_count(
    counts: Any, accepted: int, rejected: int, miscounted: int, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress(additions=5, removals=0, destination=cast("Any", MemoryDestination()))
    progress.add(5, BatchResult(**counts, body_bytes=185), phase="additions")
    progress.log_totals()
    assert (progress.sent, progress.accepted, progress.rejected, progress.miscounted) == (
        5,
        accepted,
        rejected,
        miscounted,
    )
    hints = [record.getMessage() for record in caplog.records if "well formed" in record.getMessage()]
    assert len(hints) == (rejected > 0)
    assert all(hint.endswith("although they are well formed: are they known there?") for hint in hints)
