#!/usr/bin/env bash
# Measures binframe's algorithms on graphs beside those of rustworkx and parquetframe, on the same graph in one run, and
# prints a Markdown table.
#
#   benches/peers/graph.sh
#
# The libraries are installed from PyPI in an environment of their own below the target directory; one that cannot be
# installed is left out. They take turns, ROUNDS times each (default 3); the table holds the least of each time.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
case ${CARGO_TARGET_DIR:-target} in
    /*) target=$CARGO_TARGET_DIR ;;
    *) target=$root/${CARGO_TARGET_DIR:-target} ;;
esac

(cd "$root" && cargo build --release --quiet -p binframe-benches --example graph_times)

environment=$target/peers-graph
[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
for package in numpy rustworkx parquetframe; do
    "$environment/bin/pip" install --quiet --disable-pip-version-check "$package" ||
        echo "$package cannot be installed, and is left out" >&2
done

exec "$environment/bin/python" "$root/benches/peers/graph.py" "$target/release/examples/graph_times" "$environment/edges"
