#!/usr/bin/env python3
"""Measures `binframe sql`, on one file beside sqlelf and `binframe lower`, then on many, in one run, and prints Markdown tables.

    benches/peers/queries.py [FILE]

The frequent mnemonics of FILE are asked for straight from the executable and from its dataset. Then --count executables of the
system's folders are lowered through control flow, with one job and with two, and the dataset is asked two questions. As in
disassemblers.py, commands take turns and a table holds the least of each figure; `disassemblers.py --install` installs sqlelf.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import (
    ENVIRONMENT, Peer, built_binframe, common_arguments, installed_versions, manifest, print_setting, ratio, said_by,
    take_turns,
)

FOLDERS = ["/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/lib"]
COUNT_MNEMONICS = "SELECT mnemonic, count(*) AS n FROM {} GROUP BY mnemonic ORDER BY n DESC LIMIT 10"
WHO_CALLS = """
SELECT DISTINCT f.binary_name, f.function_name
FROM call_edges c JOIN functions f ON f.binary_name = c.binary_name AND f.address = c.caller_address
WHERE c.import_name = 'malloc'"""
MOST_DUPLICATED = "SELECT * FROM duplicate_functions ORDER BY copies DESC, content_hash LIMIT 20"
CODE_SIZE = "SELECT sum(size) FROM binary_sections WHERE is_executable"


def print_table(peers, base, base_name):
    print(f"| command | CPU s | wall s | peak MiB | wall / {base_name} |\n|---|--:|--:|--:|--:|")
    for peer in peers:
        figures = [peer.problem, peer.problem, "–", "–"]
        if not peer.problem:
            figures = [f"{peer.cpu:.2f}", f"{peer.wall:.2f}", peer.memory(), ratio(peer.wall, base.wall)]
        print(f"| `{peer.label}` | " + " | ".join(figures) + " |")
    print(flush=True)


def measure_file(binframe, file, work, limits, installed):
    dataset = work / "instructions"
    lower = Peer("lower --emit instructions", [binframe, "lower", file, "-o", dataset, "--emit", "instructions"], result=dataset)
    query = COUNT_MNEMONICS.format("instructions")
    peers = [
        lower,
        Peer("sql, from the executable", [binframe, "sql", query, file, "--format", "csv"]),
        Peer("sql, from the dataset", [binframe, "sql", query, dataset, "--format", "csv"]),
    ]
    if "sqlelf" in installed:
        query = COUNT_MNEMONICS.format("elf_instructions")
        command = [ENVIRONMENT / "bin/sqlelf", "--cache-flag", "INSTRUCTIONS", "--sql", query, file]
        peers.append(Peer("sqlelf", command))
    take_turns(peers, file, limits)
    print(f"\nThe mnemonics of {file} ({os.path.getsize(file) / 1e6:.1f} MB)\n")
    print_table(peers, peers[-1], peers[-1].label)


def executables(count):
    """Executables of the system's folders, each once, in the order of their paths."""
    found, seen = [], set()
    for folder in FOLDERS:
        for directory, folders, names in os.walk(folder):
            folders.sort()
            for path in (os.path.join(directory, name) for name in sorted(names)):
                if os.path.islink(path) or not os.access(path, os.R_OK) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as opened:
                    is_executable = opened.read(4) == b"\x7fELF"
                status = os.stat(path)
                if is_executable and (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    found.append(path)
                if len(found) == count:
                    return found
    return found


def measure_corpus(binframe, count, work, limits):
    files = executables(count)
    size = sum(os.path.getsize(file) for file in files)
    lowerings = []
    for jobs in "1", "2":
        dataset = work / f"corpus-{jobs}"
        command = [binframe, "lower", *files, "-o", dataset, "--emit", "sections,cfg", "--jobs", jobs]
        command += ["--memory", limits.bound]
        label = f"lower --emit sections,cfg --jobs {jobs} --memory {limits.bound}"
        lowerings.append(Peer(label, command, result=dataset))
    queries = [
        Peer("sql, who calls malloc", [binframe, "sql", WHO_CALLS, dataset, "--format", "csv"]),
        Peer("sql, the 20 most duplicated functions", [binframe, "sql", MOST_DUPLICATED, dataset, "--format", "csv"]),
    ]
    # Its files are read before by whoever comes first, and by the script itself.
    for lowering in lowerings:
        lowering.run(limits)
    take_turns(queries, files[0], limits)
    tables = manifest(lowerings[0])
    code = said_by([binframe, "sql", CODE_SIZE, dataset, "--format", "csv"]).splitlines()[1]
    rows, written = (sum(table[what] for table in tables) for what in ("rows", "bytes"))
    print(f"{len(files)} executables of {', '.join(FOLDERS)}: {size / 1e6:.0f} MB, {int(code) / 1e6:.0f} MB of code;")
    print(f"{rows} rows in {written / 1e6:.0f} MB", end="")
    for lowering in lowerings:
        print(f"; {int(code) / 1e6 / lowering.wall:.1f} MB of code a second", end="")
    print(".\n")
    print_table(lowerings + queries, lowerings[0], lowerings[0].label.split(" --memory")[0])
    for query in queries:
        print(f"{query.label}: {len(list(csv.reader(query.output.splitlines()))) - 1} rows")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", metavar="FILE", help="[the toolchain's cargo]")
    parser.add_argument("--count", type=int, default=1000, help="executables of the system [%(default)s]")
    parser.add_argument("--bound", default="2G", help="what they are lowered with as --memory [%(default)s]")
    common_arguments(parser)
    return parser.parse_args()


def main():
    limits = arguments()
    binframe = built_binframe(limits)
    installed = installed_versions()
    if "sqlelf" not in installed:
        print("sqlelf is not there; `cargo xtask bench peers --install` installs it.", file=sys.stderr)
    print_setting(limits, installed)
    with tempfile.TemporaryDirectory(prefix="binframe-queries.") as folder:
        work = Path(folder)
        measure_file(binframe, limits.file or said_by(["rustup", "which", "cargo"]), work, limits, installed)
        measure_corpus(binframe, limits.count, work, limits)


main()
