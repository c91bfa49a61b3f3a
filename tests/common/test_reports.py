"""What a report looks like in the log: the audience first, no zeros but those that people look for."""

from airflow_provider_audiences.common.reports import report_lines
from airflow_provider_audiences.sync.report import DirectDeliveryReport, SyncReport


def test_a_sync_that_had_nothing_to_do_is_short() -> None:
    report = SyncReport(audience_id="a1", mode="mirror", generation=3, unchanged=12_000, live=12_000, requests=1)
    assert report_lines(report.as_dict(), heading="Audience 'VIP' (a1):") == [
        "Audience 'VIP' (a1):",
        "  mode        mirror",
        "  generation  3",
        "  added       0",
        "  refreshed   0",
        "  removed     0",
        "  unchanged   12,000",
        "  live        12,000",
        "  requests    1",
    ]


def test_a_drift_of_0_is_told_and_an_unknown_one_is_not() -> None:
    told = {drift: report_lines(SyncReport(audience_id="a", drift=drift).as_dict(), heading="") for drift in (0, None)}
    assert [any("drift" in line for line in lines) for lines in told.values()] == [True, False]


def test_an_upload_tells_what_was_sent_and_that_it_was_a_dry_run() -> None:
    lines = report_lines(DirectDeliveryReport(audience_id="a", dry_run=True).as_dict(), heading="Audience a:")
    assert lines == ["Audience a:", "  dry_run   yes", "  sent      0", "  requests  0"]


def test_a_group_that_stays_says_so() -> None:
    report = {
        "group_id": "ag-1",
        "name": "VIP",
        "amount": 0,
        "unchanged": True,
        "adopted": False,
        "kept_group_ids": ["ag-0", "ag-9"],
        "replaced_group_ids": [],
        "verdicts": [{"guard": "min_members"}],
        "billable_calls": {"create": 1, "get": 1_200},
        "seconds": 1.5,
    }
    assert report_lines(report, heading="Group 'VIP' (ag-1):")[1:] == [
        "  amount          0",
        "  unchanged       yes",
        "  kept_group_ids  ag-0, ag-9",
        "  billable_calls  create 1, get 1,200",
        "  seconds         1.5",
    ]
