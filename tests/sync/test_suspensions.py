"""
A process stands still at a random moment (SIGSTOP), is taken for dead, and wakes up when the next try has ended.

``AUDIENCES_LONG_TESTS=1`` asks for many more rounds, as ``make test-rounds`` does.
"""

import json
import os
import random
import signal
import time
from typing import Any

from support.fixtures import MakeIds
from support.forks import Forks

ROUNDS = 200 if os.environ.get("AUDIENCES_LONG_TESTS") else 20


def test_any_moment(make_synced: Any, make_ids: MakeIds, processes: Forks, tmp_path: Any) -> None:
    moments = random.Random(12)  # noqa: S311 - no secret
    duration, outcomes = 0.0, dict.fromkeys(("went on", "was overtaken", "had ended"), 0)
    for number in range(ROUNDS):
        synced = make_synced()
        synced.run(make_ids(8))
        source = make_ids(8, start=5)
        job = {
            "url": synced.emulator.url,
            "key": synced.emulator.api_key,
            "audience_id": synced.audience_id,
            "path": str(synced.path),
            "log": str(tmp_path / f"{number}.log"),
            "work": "run",
            "stop": None,
            "source": source,
            "settings": {},
        }
        first = processes.begin(job | {"opened": {"try_number": 1, "batch": 1}})
        began = time.monotonic()
        if not duration:
            first.communicate(timeout=120)
            duration = time.monotonic() - began
            continue
        time.sleep(moments.uniform(0, duration))
        has_ended = first.poll() is not None
        if not has_ended:
            first.send_signal(signal.SIGSTOP)
        try:
            second = processes.begin(job | {"opened": {"try_number": 2, "batch": 1}})
            said, errors = second.communicate(timeout=120)
            assert second.returncode == 0, errors
            assert json.loads(said)["live"] == 8
        finally:
            if not has_ended:
                first.send_signal(signal.SIGCONT)
        _, errors = first.communicate(timeout=120)
        assert first.returncode == 0 or "AudienceBusyError" in errors.splitlines()[-1], errors
        outcomes["had ended" if has_ended else "went on" if not first.returncode else "was overtaken"] += 1

        assert synced.members == source
        synced.clear()
        assert synced.run(source).batches == 0
        assert synced.wire.posts == []
    assert outcomes["was overtaken"] > ROUNDS / 10, outcomes
    print(outcomes)  # noqa: T201 - pytest -s
