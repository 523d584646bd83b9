#!/usr/bin/env bash
# Measures `binframe lower` beside `objdump -d` on the same files, in one run, and prints a Markdown table.
#
#   benches/peers/objdump.sh [FILE...]        (default: the toolchain's cargo)
#
# The commands take turns, ROUNDS times each (default 3), so that a busy moment of the machine meets all of them; the
# table holds medians. CPU is user plus system time of the process. Peak memory needs GNU time as /usr/bin/time.

set -euo pipefail
export LC_ALL=C
TIMEFORMAT='%R %U %S'

rounds=${ROUNDS:-3}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

if ! command -v objdump >/dev/null; then
    echo "error: objdump is not installed; install it with: apt-get install -y binutils" >&2
    exit 1
fi
if [ $# -eq 0 ]; then
    set -- "$( (cd "$root" && rustup which cargo) 2>/dev/null || command -v cargo)"
fi
for file in "$@"; do
    [ -f "$file" ] || { echo "error: $file is not a file" >&2; exit 1; }
done

(cd "$root" && cargo build --release --quiet -p binframe-cli)
case ${CARGO_TARGET_DIR:-target} in
    /*) binframe=$CARGO_TARGET_DIR/release/binframe ;;
    *) binframe=$root/${CARGO_TARGET_DIR:-target}/release/binframe ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/binframe-peers.XXXXXX")
trap 'rm -rf "$work"' EXIT

memory_tool=
if /usr/bin/time -f %M -o "$work/probe" true 2>/dev/null; then
    memory_tool=/usr/bin/time
fi

# measure NAME COMMAND...: appends "wall cpu peak_kib" to $work/NAME.
measure() {
    local name=$1 wall user system peak=0
    shift
    if [ -n "$memory_tool" ]; then
        set -- "$memory_tool" -f %M -o "$work/peak" "$@"
    fi
    if ! { time "$@" >/dev/null 2>"$work/errors"; } 2>"$work/times"; then
        echo "error: $* failed:" >&2
        cat "$work/errors" >&2
        exit 1
    fi
    read -r wall user system <"$work/times"
    if [ -n "$memory_tool" ]; then
        peak=$(tail -n 1 "$work/peak")
    fi
    awk -v w="$wall" -v u="$user" -v s="$system" -v p="$peak" 'BEGIN { print w, u + s, p }' >>"$work/$name"
}

# median NAME COLUMN
median() {
    awk -v c="$2" '{ print $c }' "$work/$1" | sort -n |
        awk '{ v[NR] = $1 } END { m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2 }'
}

# row NAME LABEL: one line of the table, with the ratios to objdump and to one thread.
row() {
    awk -v label="$2" -v wall="$(median "$1" 1)" -v cpu="$(median "$1" 2)" -v peak="$(median "$1" 3)" \
        -v peer_wall="$(median objdump 1)" -v peer_cpu="$(median objdump 2)" -v one_wall="$(median jobs-1 1)" '
        function ratio(a, b) { return b > 0 ? sprintf("%.3f", a / b) : "n/a" }
        BEGIN {
            memory = peak > 0 ? sprintf("%.0f", peak / 1024) : "n/a"
            of_one = label ~ /^binframe/ ? ratio(wall, one_wall) : "–"
            printf "| `%s` | %.2f | %.2f | %s | %s | %s | %s |\n", label, cpu, wall, memory,
                ratio(cpu, peer_cpu), ratio(wall, peer_wall), of_one
        }'
}

processor=$(awk -F ': *' '/^model name/ { print $2; exit }' /proc/cpuinfo 2>/dev/null || true)
echo "Machine: ${processor:-unknown processor}, $(getconf _NPROCESSORS_ONLN) processors; $(objdump --version | head -n 1);"
echo "medians of $rounds rounds."

for file in "$@"; do
    rm -f "$work/objdump" "$work/jobs-1" "$work/jobs-2"
    # Whoever comes first would otherwise pay for reading the file from the disk.
    cat "$file" >/dev/null
    round=0
    while [ "$round" -lt "$rounds" ]; do
        round=$((round + 1))
        measure objdump objdump -d "$file"
        for jobs in 1 2; do
            rm -rf "$work/dataset"
            measure "jobs-$jobs" "$binframe" lower "$file" -o "$work/dataset" --emit instructions,cfg --jobs "$jobs"
        done
    done
    echo
    echo "$file ($(wc -c <"$file" | awk '{ printf "%.1f MB", $1 / 1e6 }'))"
    echo
    echo "| command | CPU s | wall s | peak MiB | CPU / objdump | wall / objdump | wall / 1 thread |"
    echo "|---|--:|--:|--:|--:|--:|--:|"
    row objdump "objdump -d"
    row jobs-1 "binframe lower --emit instructions,cfg --jobs 1"
    row jobs-2 "binframe lower --emit instructions,cfg --jobs 2"
done
