#!/usr/bin/env bash
# Rewrites the hash-pinned lock from the *.in files. Needs uv.
set -euo pipefail
cd "$(dirname "$0")"
uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet \
  --custom-compile-command requirements/lock.sh "$@" runtime.in test.in dev.in docs.in -o all.txt
for part in runtime test dev docs sdk-min host; do
  uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet \
    --custom-compile-command requirements/lock.sh --constraint all.txt "$part.in" -o "$part.txt"
done
