"""What is wrong with a store's address, its connection, or what is installed: named, with advice that helps."""

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat import sdk

from airflow_provider_audiences.common.pai.group_files import GroupFiles
from airflow_provider_audiences.common.state import folder_at, state_store
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.rejects import RejectsFile
from airflow_provider_audiences.sources.opening import open_source
from airflow_provider_audiences.sources.staging import rejects_file

SECRET = "sesame-sesame"


def open_as_state(address: str) -> None:
    folder_at(address, "a", setting="[audiences] state_path")


def open_as_stage_path(address: str) -> None:
    GroupFiles(address, conn_id=None, uri_template="https://x/{key}", name="g", owner="o")


def open_as_source(address: str) -> None:
    with open_source(f"{address}/ids.txt"):
        pass


def open_as_rejects(address: str) -> None:
    target = rejects_file(f"{address}/rejects.csv", include_values=False)
    assert isinstance(target, RejectsFile)
    target.open()


PLACES = pytest.mark.parametrize("opened", [open_as_state, open_as_stage_path, open_as_source, open_as_rejects])


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Defines a connection: ``connection("wrong", extra)``."""

    def define(conn_id: str, extra: dict[str, Any]) -> None:
        value = {"conn_type": "aws", "login": "key", "password": SECRET, "extra": {"region_name": "eu-west-1", **extra}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(value))

    return define


@PLACES
@pytest.mark.parametrize("option", ["nonsense", "adressing_style"])
def test_an_option_that_the_file_system_does_not_take(opened: Any, option: str, connection: Any) -> None:
    connection("wrong_s3", {"config_kwargs": {option: 1}})
    with pytest.raises(InvalidInputError, match=f"it takes no option {option}") as caught:
        opened("s3://wrong_s3@bucket/prefix")
    assert "mend the extra of the connection" in str(caught.value)
    assert "install" not in str(caught.value)
    assert SECRET not in str(caught.value)


@PLACES
def test_a_setting_that_the_file_system_refuses(opened: Any, connection: Any) -> None:
    connection("unsigned_s3", {"service_config": {"s3": {"signer": "nobody"}}})
    with pytest.raises(InvalidInputError, match=r"can't be made of what its connection .* \(ValueError\)") as caught:
        opened("s3://unsigned_s3@bucket/prefix")
    assert "install" not in str(caught.value)


@PLACES
@pytest.mark.parametrize(
    ("scheme", "advice"),
    [
        ("gs", "install the provider package that serves gs://, with its extra for file systems: apache-airflow-pro"),
        ("abfs", "microsoft-azure"),
        ("ftp", "give an address in a store that Airflow has a provider for"),
        ("nosuch", "give an address in a store that Airflow has a provider for"),
    ],
)
def test_a_scheme_that_nobody_serves(opened: Any, scheme: str, advice: str) -> None:
    with pytest.raises(InvalidInputError, match=f"no installed provider serves {scheme}://") as caught:
        opened(f"{scheme}://bucket/prefix")
    assert advice in str(caught.value)
    assert ("install" in str(caught.value).partition("serves")[2]) == (scheme in {"gs", "abfs"})


@PLACES
def test_paths_that_do_not_fit_airflow(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an old Airflow's with universal-pathlib 0.3: no address opens, and no provider's package changes that."""

    class IncompatibleError(TypeError, ValueError):
        pass

    def path(*_: Any, **__: Any) -> None:
        raise IncompatibleError(
            "ObjectStoragePath(...) detected protocol s3 which is incompatible with ObjectStoragePath."
        )

    monkeypatch.setattr(sdk, "ObjectStoragePath", path, raising=False)
    with pytest.raises(
        InvalidInputError, match=r"opens no address with the universal-pathlib [0-9.]+ that is"
    ) as caught:
        opened("s3://bucket/prefix")
    assert "install the version that Airflow's constraints file names" in str(caught.value)
    assert "provider" not in str(caught.value).partition("bucket")[2]


@PLACES
def test_a_connection_that_is_not_there(opened: Any) -> None:
    with pytest.raises(InvalidInputError, match="its connection not_there_at_all is not defined"):
        opened("oss://not_there_at_all@bucket/prefix")


def test_a_folder_of_this_machine_needs_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path))
    assert state_store("a").name == str(tmp_path / "a")
