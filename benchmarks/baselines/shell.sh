#!/bin/sh
# What the platform's document shows, for more than one batch: sort, split, curl. It validates nothing.
# Usage: shell.sh FILE SERVER_URL EMPTY_FOLDER
set -eu
LC_ALL=C sort -u "$1" | split -l 100000 - "$3/batch_"
verb=update
for batch in "$3"/batch_*; do
    curl --silent --show-error --fail --max-time 120 --output /dev/null --data-binary "@$batch" \
        "$2/audiences/$verb?audience_id=bench&api_key=bench"
    verb=append
done
