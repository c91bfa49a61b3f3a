"""
What a good engineer would write first: a set, a regular expression and requests.

Usage: ``script.py FILE SERVER_URL``. Prints the seconds that it took, without its imports.
"""

import re
import sys
import time
from pathlib import Path

import requests

BATCH_SIZE = 100_000
ADVERTISING_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def main(path: str, url: str) -> None:
    """Send the file's advertising IDs, each once: the first batch replaces, the others append."""
    seen: set[str] = set()
    batch: list[str] = []
    malformed = 0
    verb = "update"
    session = requests.Session()

    def send() -> None:
        nonlocal verb
        query = {"audience_id": "bench", "api_key": "bench"}
        body = "\n".join(batch) + "\n"
        reply = session.post(f"{url}/audiences/{verb}", params=query, data=body.encode(), timeout=120)
        reply.raise_for_status()
        if reply.json()["code"] != requests.codes.ok:
            raise SystemExit(f"refused: {reply.text}")
        verb = "append"
        batch.clear()

    with Path(path).open(encoding="ascii") as file:
        for line in file:
            advertising_id = line.strip().lower()
            if not ADVERTISING_ID.fullmatch(advertising_id):
                malformed += 1
            elif advertising_id not in seen:
                seen.add(advertising_id)
                batch.append(advertising_id)
                if len(batch) == BATCH_SIZE:
                    send()
    if batch:
        send()
    print(f"sent {len(seen)}, malformed {malformed}", file=sys.stderr)


if __name__ == "__main__":
    started = time.perf_counter()
    main(*sys.argv[1:])
    print(time.perf_counter() - started)
