"""The DAGs of tests/support/dags, run for real (``dag.test()``) in a process of their own, as Airflow wants it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_SCRIPTS = Path(__file__).with_name("dags")


class DagScript:
    """
    A script of DAGs.

    :param name: of its file.
    :param folder: where it is copied to, and Airflow's folder of DAGs: Airflow 3 runs only what it has found there.
    :param given: what the script is told by its environment, so that members are not in the code, which Airflow stores.
    :param environment: more of its environment.
    """

    def __init__(self, name: str, folder: Path, given: dict[str, Any], **environment: str) -> None:
        self.given = given
        self._folder = folder
        self._copied = shutil.copy(_SCRIPTS / f"{name}.py", folder)
        self._environment = {
            "DAG_RUNS_INPUT": json.dumps(given),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        } | environment

    def __call__(self, *arguments: str) -> tuple[Any, str]:
        """Return how the tasks ended, as the script says it, and everything that it wrote to the terminal."""
        done = subprocess.run(
            [sys.executable, self._copied, *arguments],
            env=os.environ | self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        output = done.stdout + done.stderr
        assert "\nENDED " in done.stdout, output[-8000:]
        return json.loads(done.stdout.rpartition("\nENDED ")[2].splitlines()[0]), output
