import logging

import pytest
from airflow.providers.common.compat.sdk import Stats

from airflow_provider_audiences.common.counts import Counts
from airflow_provider_audiences.common.metrics import TryMetrics, tag_value


def test_a_name_becomes_the_value_of_a_tag_that_every_client_takes() -> None:
    assert tag_value("0af3-AB_c.d") == "0af3-AB_c.d"
    assert tag_value("VIP, a=b 会员~") == "VIP_2C_20a_3Db_20_E4_BC_9A_E5_91_98_"
    long = "x" * 81
    assert len(tag_value(long)) == 80
    assert tag_value(long) != tag_value(long + "x")
    assert tag_value("\ud800") == "_3F"


def test_a_client_that_fails_does_not_fail_the_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no such host sesame")

    monkeypatch.setattr(Stats, "incr", fail, raising=False)
    caplog.set_level(logging.WARNING)
    TryMetrics(
        counts=Counts(sent=1),
        seconds=1.5,
        platform="applovin",
        kind="audience",
        operation="sync",
        outcome="ok",
        audience="A",
    ).emit()
    assert "Airflow did not take the task's metrics: OSError" in caplog.text
    assert "sesame" not in caplog.text
