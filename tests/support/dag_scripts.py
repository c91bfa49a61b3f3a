"""DAGs that run for real, each script and each command in a process of its own, as Airflow wants it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from support.forks import Forks

_SCRIPTS = Path(__file__).with_name("dags")


class AirflowProcesses:
    """
    Processes of Airflow's command, and of scripts of DAGs.

    :param folder: Airflow's folder of DAGs; also the current one of the processes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._forks = Forks(
            Path(__file__).with_name("airflow_process.py"), AIRFLOW__CORE__DAGS_FOLDER=str(folder.absolute())
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """
        Run a command line, and return its exit code, what it said, and its errors.

        :param arguments: the first one is ``airflow``, or the path of a script.
        :param environment: more than that of this process.
        """
        variables = os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(self.folder.absolute())} | environment
        job = {"arguments": arguments, "environment": variables, "folder": str(self.folder)}
        fork = self._forks.begin(job)
        said, errors = fork.communicate(timeout=300)
        assert fork.returncode is not None
        return fork.returncode, said, errors

    def close(self) -> None:
        self._forks.close()


class DagScript:
    """
    A script of tests/support/dags.

    :param name: of its file, which is copied to Airflow's folder of DAGs: Airflow 3 runs only what it has found there.
    :param processes: run it.
    :param given: what it is told by its environment, so that members are not in the code, which Airflow stores.
    :param environment: more of its environment.
    """

    def __init__(self, name: str, processes: AirflowProcesses, given: dict[str, Any], **environment: str) -> None:
        self.given = given
        self._processes = processes
        self._copied = shutil.copy(_SCRIPTS / f"{name}.py", processes.folder)
        self._environment = {"DAG_RUNS_INPUT": json.dumps(given)} | environment

    def __call__(self, *arguments: str) -> tuple[Any, str]:
        """Return how the tasks ended, as the script says it, and everything that it wrote to the terminal."""
        _, said, errors = self._processes.run(str(self._copied), *arguments, **self._environment)
        assert "\nENDED " in said, (said + errors)[-8000:]
        return json.loads(said.rpartition("\nENDED ")[2].splitlines()[0]), said + errors
