"""Airflow's assets as this package makes them: the same as Airflow's own, at no cost for whoever parses DAG files."""

import os
import subprocess
import sys
import types
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from airflow.providers_manager import ProvidersManager

from airflow_provider_audiences.assets import applovin, pai
from airflow_provider_audiences.assets.airflow_assets import convert_asset_to_openlineage, given_asset
from airflow_provider_audiences.assets.applovin import audience_asset, suppression_asset
from airflow_provider_audiences.assets.pai import group_asset
from airflow_provider_audiences.exceptions import InvalidInputError

IS_AIRFLOW_2 = get_base_airflow_version_tuple() < (3, 0, 0)
SCRIPT = """
import sys
from airflow.providers.common.compat import sdk
sdk.BaseOperator(task_id="any", outlets=[sdk.Asset("any")])  # what any DAG file costs
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
before = set(sys.modules)
made = AppLovinSyncAudienceOperator(task_id="t", name="Loyal", platform="ios", source="/x")
print("OUTLET", made.outlets[0].uri, *sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(
    ("made", "uri"),
    [
        (audience_asset("Loyal players"), "applovin://applovin_default/audiences/Loyal%20players"),
        (audience_asset("fce0", account="eu"), "applovin://eu/audiences/fce0"),
        (suppression_asset("com.example"), "applovin://applovin_default/suppression/com.example"),
        (suppression_asset("com.example", account="eu"), "applovin://eu/suppression/com.example"),
        (group_asset("VIP"), "pai://pai_default/groups/VIP"),
        (applovin.create_asset(account="eu", audience="fce0"), "applovin://eu/audiences/fce0"),
        (applovin.create_asset(account="eu", package_name="c.e"), "applovin://eu/suppression/c.e"),
        (pai.create_asset(account="eu", group="VIP"), "pai://eu/groups/VIP"),
    ],
    ids=str,
)
def test_they_are_airflows_own(made: Any, uri: str) -> None:
    assert made == Asset(uri)
    assert (getattr(made, "name", uri), made.uri) == (uri, uri)


def test_airflow_gives_them_what_lineage_has_found() -> None:
    made = applovin.create_asset(account="eu", audience="fce0", extra={"rows": 7})
    assert made.extra == {"rows": 7}
    for given in (None, "x"):
        with pytest.raises(InvalidInputError, match="either audience or package_name"):
            applovin.create_asset(account="eu", audience=given, package_name=given)


def test_airflow_knows_handlers_factories_and_converters() -> None:
    manager: Any = ProvidersManager()
    word = "dataset" if IS_AIRFLOW_2 else "asset"
    for scheme in ("applovin", "pai"):
        assert getattr(manager, f"{word}_uri_handlers")[scheme].__name__.endswith("ize_uri")
        assert getattr(manager, f"{word}_factories")[scheme].__name__ == "create_asset"
        converter = getattr(manager, f"{word}_to_openlineage_converters")[scheme]
        assert converter is convert_asset_to_openlineage


def test_airflow_refuses_what_names_nothing_of_ours() -> None:
    if IS_AIRFLOW_2:
        with pytest.warns(UserWarning, match="this URI of an asset is none of"):
            Asset("applovin://main/nothing/x")
        assert Asset("applovin://main/audiences/Loyal%2dplayers/").uri == "applovin://main/audiences/Loyal-players"
        return
    with pytest.raises(ValueError, match="this URI of an asset is none of"):
        Asset("applovin://main/nothing/x")
    with pytest.raises(ValueError, match="must be written applovin://main/audiences/Loyal-players"):
        Asset("applovin://main/audiences/Loyal%2dplayers")


def test_openlineage_has_account_and_audience(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether OpenLineage's client is installed or not.
    monkeypatch.setattr("airflow.providers.common.compat.openlineage.facet.Dataset", types.SimpleNamespace)
    made = convert_asset_to_openlineage(audience_asset("Loyal players", account="eu"), None)
    assert (made.namespace, made.name) == ("applovin://eu", "audiences/Loyal%20players")


def test_what_a_user_may_give() -> None:
    asset = Asset("of_the_user")
    assert given_asset(asset) is asset
    assert given_asset("of_the_user") == asset
    assert given_asset("applovin://eu/audiences/Loyal players") == audience_asset("Loyal players", account="eu")


@pytest.mark.parametrize("wrong", ["", " ", "{{ params.asset }}", 7, True, ["x"], AssetAlias("x")], ids=str)
def test_what_a_user_may_not_give(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="asset is"):
        given_asset(wrong)


def test_an_outlet_costs_nothing_when_a_dag_file_is_parsed() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("OUTLET ")]
    _, uri, *imported = line.split()
    assert uri == "applovin://applovin_default/audiences/Loyal"
    assert not [name for name in imported if not name.startswith(("airflow", "urllib"))]
    assert len(imported) < 10
