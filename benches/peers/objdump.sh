#!/usr/bin/env bash
# Measures `binframe lower` beside `objdump -d` on the same files, in one run, and prints a Markdown table.
#
#   benches/peers/objdump.sh [FILE...]        (default: the toolchain's cargo)
#
# The commands take turns, ROUNDS times each (default 5), so that a busy moment of the machine meets all of them. The
# table holds the least of each figure, which other work on the machine disturbs least. CPU is user plus system time of
# the process. Peak memory needs GNU time as /usr/bin/time.

set -euo pipefail
export LC_ALL=C
TIMEFORMAT='%R %U %S'

rounds=${ROUNDS:-5}
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

# least NAME COLUMN
least() {
    awk -v c="$2" 'NR == 1 || $c < least { least = $c } END { print least }' "$work/$1"
}

# row NAME LABEL: one line of the table, with the ratios to objdump and to one thread.
row() {
    awk -v label="$2" -v wall="$(least "$1" 1)" -v cpu="$(least "$1" 2)" -v peak="$(least "$1" 3)" \
        -v peer_wall="$(least objdump 1)" -v peer_cpu="$(least objdump 2)" -v one_wall="$(least jobs-1 1)" '
        function ratio(a, b) { return b > 0 ? sprintf("%.3f", a / b) : "n/a" }
        BEGIN {
            memory = peak > 0 ? sprintf("%.0f", peak / 1024) : "n/a"
            of_one = label ~ /^binframe/ ? ratio(wall, one_wall) : "–"
            printf "| `%s` | %.2f | %.2f | %s | %s | %s | %s |\n", label, cpu, wall, memory,
                ratio(cpu, peer_cpu), ratio(wall, peer_wall), of_one
        }'
}

# field NAME: a number that the manifest gives for each table, as lines of "table number".
field() {
    tr -d '\n' <"$work/dataset/_binframe/manifest.json" | tr '{}' '\n\n' |
        sed -n 's/.*"table": *"\([^"]*\)".*"'"$1"'": *\([0-9]*\).*/\1 \2/p'
}

# density: what an instruction takes in the dataset that was written last.
density() {
    local instructions own all
    instructions=$(field rows | awk '$1 == "instructions" { print $2 }')
    own=$(field bytes | awk '$1 == "instructions" { print $2 }')
    all=$(field bytes | awk '{ sum += $2 } END { print sum }')
    awk -v n="$instructions" -v own="$own" -v all="$all" 'BEGIN {
        if (n == 0) { print "No instructions."; exit }
        printf "%d instructions; %.2f bytes each in the table of instructions, %.2f in all tables.\n", n, own / n, all / n
    }'
}

processor=$(awk -F ': *' '/^model name/ { print $2; exit }' /proc/cpuinfo 2>/dev/null || true)
echo "Machine: ${processor:-unknown processor}, $(getconf _NPROCESSORS_ONLN) processors; $(objdump --version | head -n 1);"
echo "least of $rounds rounds."

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
    echo
    density
done
