#!/usr/bin/env bash
# Installs to a prefix of its own, and builds the worker of docs/workers.md outside the tree in both
# ways: what the page shows is what works.
# install.sh BUILD SOURCE CC
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/prefix" >/dev/null
cp -r "$2/tests/workers/outside" "$work/outside"
awk '/^```c$/ { on = 1; next } /^```$/ { if (on) exit } on' "$2/docs/workers.md" >"$work/outside/worker.c"

PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name tidemark.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
"$3" -Wall -Wextra -Werror "$work/outside/worker.c" -o "$work/by-pkg-config" \
    $(pkg-config --cflags --libs tidemark)
cmake -S "$work/outside" -B "$work/build" -DCMAKE_C_COMPILER="$3" \
    -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build" >/dev/null

# With an endpoint that is none a worker says so, by its own status: it was linked and runs.
for worker in "$work/by-pkg-config" "$work/build/worker"; do
    status=0
    "$worker" "no endpoint" || status=$?
    [ "$status" -eq 2 ] || { echo "$worker: status $status" >&2; exit 1; }
done
[ "$(find "$work/prefix/include" -name '*.h' | wc -l)" -eq 1 ]
