#!/usr/bin/env bash
# Installs to a prefix of its own, and builds the workers of docs/workers.md outside the tree, the
# first one in both ways: what the page shows is what works.
# install.sh BUILD SOURCE CC
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/prefix" >/dev/null
cp -r "$2/tests/workers/outside" "$work/outside"
# example NUMBER SOURCE: the page's examples, as they stand there.
example() {
    awk -v number="$1" '/^```c$/ { at++; next } /^```$/ { if (at == number) exit } at == number' \
        "$2/docs/workers.md"
}
example 1 "$2" >"$work/outside/worker.c"
example 2 "$2" >"$work/outside/reader.c"

PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name tidemark.pc)")
export PKG_CONFIG_PATH
for name in worker reader; do
    # shellcheck disable=SC2046
    "$3" -Wall -Wextra -Werror "$work/outside/$name.c" -o "$work/$name" \
        $(pkg-config --cflags --libs tidemark)
done
cmake -S "$work/outside" -B "$work/build" -DCMAKE_C_COMPILER="$3" \
    -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build" >/dev/null

# With an endpoint that is none a worker says so, by its own status: it was linked and runs.
for worker in "$work/worker" "$work/reader" "$work/build/worker"; do
    status=0
    "$worker" "no endpoint" || status=$?
    [ "$status" -eq 2 ] || { echo "$worker: status $status" >&2; exit 1; }
done
[ "$(find "$work/prefix/include" -name '*.h' | wc -l)" -eq 1 ]
