"""A ledger on a worker's own disk is refused where tasks run on several workers, before anything is sent."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from support.airflow_versions import attach

from airflow_provider_audiences.common.state import check_state_path
from airflow_provider_audiences.common.workers import executor_of, is_shared_disk, workers_of
from airflow_provider_audiences.exceptions import InvalidInputError, PermanentError

CELERY = "airflow.providers.celery.executors.celery_executor.CeleryExecutor"
KUBERNETES = "airflow.providers.cncf.kubernetes.executors.kubernetes_executor.KubernetesExecutor"

Configure = Callable[..., BaseOperator]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Configure:
    """Sets executor and state_path, and returns an operator: ``configure("CeleryExecutor", path="/data", …)``."""
    monkeypatch.delenv("AIRFLOW_IS_K8S_EXECUTOR_POD", raising=False)

    def run(executor: str, *, path: str | None = None, shared: str = "", **arguments: Any) -> BaseOperator:
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
        monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path) if path is None else path)
        monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH_IS_SHARED", shared)
        return BaseOperator(task_id="sync", **arguments)

    return run


@pytest.mark.parametrize(
    ("executor", "of_task", "name", "workers"),
    [
        ("LocalExecutor", None, "LocalExecutor", "one"),
        ("SequentialExecutor", None, "SequentialExecutor", "one"),
        ("airflow.executors.local_executor.LocalExecutor", None, "LocalExecutor", "one"),
        ("CeleryExecutor", None, "CeleryExecutor", "several"),
        (CELERY, None, "CeleryExecutor", "several"),
        ("KubernetesExecutor", None, "KubernetesExecutor", "pods"),
        (KUBERNETES, None, "KubernetesExecutor", "pods"),
        ("airflow.providers.amazon.aws.executors.ecs.ecs_executor.AwsEcsExecutor", None, "AwsEcsExecutor", "several"),
        ("airflow.providers.edge3.executors.EdgeExecutor", None, "EdgeExecutor", "several"),
        ("nobody.has.this.Executor", None, "Executor", "several"),
        ("LocalExecutor,CeleryExecutor", None, "LocalExecutor", "one"),
        ("LocalExecutor, CeleryExecutor", "CeleryExecutor", "CeleryExecutor", "several"),
        (f"LocalExecutor,{CELERY}", "CeleryExecutor", "CeleryExecutor", "several"),
        (f"LocalExecutor,{CELERY}", CELERY, "CeleryExecutor", "several"),
        (f"LocalExecutor,queues:{CELERY}", "queues", "CeleryExecutor", "several"),
        ("CeleryExecutor,LocalExecutor", None, "CeleryExecutor", "several"),
        ("CeleryExecutor,LocalExecutor", "LocalExecutor", "LocalExecutor", "one"),
        ("CeleryExecutor,KubernetesExecutor", "KubernetesExecutor", "KubernetesExecutor", "pods"),
        ("LocalExecutor;blue=CeleryExecutor", None, "LocalExecutor", "one"),
    ],
)
def test_where_tasks_run(executor: str, of_task: str | None, name: str, workers: str, configure: Configure) -> None:
    task = configure(executor)
    task.executor = of_task
    assert executor_of(task) == name
    assert workers_of(task) == workers


@pytest.mark.parametrize(
    ("executor", "queue", "workers"),
    [
        ("CeleryKubernetesExecutor", "default", "several"),
        ("CeleryKubernetesExecutor", "kubernetes", "pods"),
        ("LocalKubernetesExecutor", "default", "one"),
        ("LocalKubernetesExecutor", "kubernetes", "pods"),
    ],
)
def test_executors_that_go_by_the_queue(executor: str, queue: str, workers: str, configure: Configure) -> None:
    assert workers_of(configure(executor, queue=queue)) == workers


@pytest.mark.parametrize(("is_local", "workers"), [(True, "one"), (False, "several")])
def test_an_executor_of_ones_own(
    is_local: bool, workers: str, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("our_executors")
    module.Ours = type("Ours", (), {"is_local": is_local})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "our_executors", module)
    assert workers_of(configure("our_executors.Ours")) == workers


def test_pods_say_that_they_are(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their configuration names LocalExecutor, as Airflow's chart has it."""
    task = configure("LocalExecutor")
    monkeypatch.setenv("AIRFLOW_IS_K8S_EXECUTOR_POD", "True")
    assert workers_of(task) == "pods"


class TestStatePath:
    @pytest.mark.parametrize("executor", ["CeleryExecutor", CELERY, "LocalExecutor,CeleryExecutor", "my.Executor"])
    @pytest.mark.parametrize("path", [None, "", "file:///var/lib/audiences"])
    def test_of_one_worker_is_refused(self, executor: str, path: str | None, configure: Configure) -> None:
        task = configure(executor, path=path)
        if "," in executor:
            check_state_path(task)  # the first one runs it
            task.executor = "CeleryExecutor"
        with pytest.raises(InvalidInputError, match="is on this worker's own disk, and tasks of ") as caught:
            check_state_path(task)
        assert isinstance(caught.value, PermanentError)
        assert "nothing was sent" in str(caught.value)
        assert "set [audiences] state_path_is_shared = True" in str(caught.value)

    @pytest.mark.parametrize("shared", ["True", "true", " TRUE ", "t", "1"])
    def test_that_is_said_to_be_shared(self, shared: str, configure: Configure) -> None:
        check_state_path(configure("CeleryExecutor", shared=shared))

    @pytest.mark.parametrize("shared", ["False", "0", "f", ""])
    def test_that_is_said_not_to_be_shared(self, shared: str, configure: Configure) -> None:
        with pytest.raises(InvalidInputError, match="own disk"):
            check_state_path(configure("CeleryExecutor", shared=shared))

    def test_a_switch_that_is_none(self, configure: Configure) -> None:
        with pytest.raises(InvalidInputError, match=r"\[audiences\] state_path_is_shared must be True or False"):
            check_state_path(configure("CeleryExecutor", shared="maybe"))

    @pytest.mark.parametrize("executor", ["LocalExecutor", "SequentialExecutor"])
    def test_of_one_machine(self, executor: str, configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
        check_state_path(configure(executor))
        assert caplog.text == ""

    @pytest.mark.parametrize("executor", ["CeleryExecutor", "KubernetesExecutor", "LocalExecutor"])
    def test_in_a_store(self, executor: str, configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
        attach("memory", conn_id="workers", fs=fsspec.filesystem("memory"))
        check_state_path(configure(executor, path="memory://workers@bucket/audiences"))
        assert caplog.text == ""

    def test_in_a_pod(self, configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
        task = configure("KubernetesExecutor")
        check_state_path(task)
        assert "is in a pod" in caplog.text
        assert "state_path_is_shared = True" in caplog.text
        caplog.clear()
        check_state_path(configure("KubernetesExecutor", shared="True"))
        assert caplog.text == ""

    def test_a_wrong_address_is_refused_as_before(self, configure: Configure) -> None:
        with pytest.raises(InvalidInputError, match="must be absolute"):
            check_state_path(configure("LocalExecutor", path="here"))


def test_the_disks_of_this_machine_are_its_own(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "not" / "yet", Path("/"), Path("/proc")):
        assert not is_shared_disk(path)


@pytest.mark.parametrize(
    ("path", "is_shared"),
    [
        ("/mnt/state", True), ("/mnt/state/audiences/a", True), ("/mnt/state b/x", True), ("/mnt/stated", False),
        ("/mnt/state/local/x", False), ("/mnt/bucket", True), ("/home", False), ("/mnt/pod", False),
    ],
)  # fmt: skip
def test_file_systems_that_several_machines_see(path: str, is_shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/state rw,relatime shared:2 - nfs4 server:/state rw,vers=4.1
31 22 0:41 / /mnt/state\\040b rw - cifs //server/state rw
32 30 254:1 / /mnt/state/local rw,relatime - xfs /dev/vdb rw
33 22 0:43 / /mnt/bucket rw - fuse.gcsfuse bucket rw
34 22 0:44 / /mnt/pod rw - overlay overlay rw
"""
    read_text = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, **options: mounts if str(self) == "/proc/self/mountinfo" else read_text(self, **options),
    )
    assert is_shared_disk(Path(path)) == is_shared
