#!/usr/bin/env python3
"""Measures `binframe lower` beside other disassemblers on the same files, in one run, and prints Markdown tables.

    benches/peers/disassemblers.py --install    (once; the peers of PyPI, in an environment below the target directory)
    benches/peers/disassemblers.py [FILE...]

A first table for each FILE has objdump and binframe alone, a last one all peers on a file of a size that they can do
(--file). The commands take turns, --rounds times, so that a busy moment of the machine meets all of them; what takes
longer than LONG_SECONDS runs once. A table holds the least of each figure, which other work on the machine disturbs least.
CPU is user plus system time of the process and its children, memory the largest resident set of one process; where that is
no more than this script's own, which the kernel counts too, the cell says so. What objdump and ddisasm found is counted
after what is measured; the others say it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from os.path import getsize
from pathlib import Path

from measuring import (
    ENVIRONMENT, PACKAGES, PYTHON, Peer, built_binframe, common_arguments, installed_versions, manifest, print_setting,
    ratio, said_by, take_turns,
)

COUNTED = ["functions", "basic_blocks", "instructions"]

SMDA = """
import sys
from smda.Disassembler import Disassembler
report = Disassembler().disassembleFile(sys.argv[1])
assert report.status == "ok", report.status
print(report.num_functions, report.num_blocks, report.num_instructions)
"""
ANGR = """
import sys, angr
cfg = angr.Project(sys.argv[1], auto_load_libs=False).analyses.CFGFast(normalize=True)
functions = [f for f in cfg.kb.functions.values() if not (f.is_alignment or f.is_simprocedure)]
blocks = [node for node in cfg.graph if not node.is_simprocedure]
print(len(functions), len(blocks), sum(len(node.instruction_addrs) for node in blocks))
"""
GTIRB = """
import sys, gtirb
modules = gtirb.IR.load_protobuf(sys.argv[1]).modules
print(sum(len(m.aux_data["functionEntries"].data) for m in modules), sum(1 for m in modules for _ in m.code_blocks))
"""


def said_counts(*names):
    """Counts that a peer prints as its last line."""
    return lambda peer: dict(zip(names, peer.output.split("\n")[-2].split()))


def objdump_counts(file):
    listing = subprocess.Popen(["objdump", "-d", "-w", "--no-show-raw-insn", file], stdout=subprocess.PIPE)
    instructions = sum(b":\t" in line for line in listing.stdout)
    listing.wait()
    return {"instructions": instructions}


def binframe_counts(peer):
    return {table["table"]: table["rows"] for table in manifest(peer)}


def ddisasm_counts(peer):
    counted = subprocess.run([PYTHON, "-c", GTIRB, peer.result], capture_output=True, text=True)
    return dict(zip(COUNTED, counted.stdout.split()))


def objdump_and_binframe(binframe, file, work):
    peers = [Peer("objdump -d", ["objdump", "-d", file], lambda _: objdump_counts(file), keeps_output=False)]
    for jobs in "1", "2":
        options = ["--emit", "instructions,cfg", "--jobs", jobs]
        dataset = work / f"binframe-{jobs}"
        command = [binframe, "lower", file, "-o", str(dataset), *options]
        peers.append(Peer(" ".join(["binframe lower", *options]), command, binframe_counts, dataset))
    return peers


def others(file, work, installed):
    """The other peers that are there; says of one that is not how to have it."""
    query = "select count(*) from elf_instructions"
    sqlelf = [str(ENVIRONMENT / "bin/sqlelf"), "--cache-flag", "INSTRUCTIONS", "--sql", query, file]
    gtirb = work / "gtirb"
    ddisasm = [str(ENVIRONMENT / "bin/ddisasm"), file, "--ir", str(gtirb), "--threads", "1"]
    peers = {
        "sqlelf": Peer(f'sqlelf --sql "{query}"', sqlelf, said_counts("instructions")),
        "smda": Peer("smda", [PYTHON, "-c", SMDA, file], said_counts(*COUNTED)),
        "ddisasm": Peer("ddisasm --ir --threads 1", ddisasm, ddisasm_counts, gtirb),
        "angr": Peer("angr CFGFast", [PYTHON, "-c", ANGR, file], said_counts(*COUNTED)),
    }
    for name in PACKAGES:
        if name not in installed:
            del peers[name]
            print(f"{name} is not there; `cargo xtask bench peers --install` installs it.")
    if shutil.which("radare2"):
        command = ["radare2", "-N", "-q", "-e", "scr.color=0", "-c", "aaa;afl~?", file]
        peers["radare2"] = Peer("radare2 -c aaa", command, said_counts("functions"))
    else:
        print("radare2 is not there; https://github.com/radareorg/radare2 has packages of it.")
    return list(peers.values())


def row(peer, base):
    figures, found = [peer.problem, peer.problem, None, None, None], {}
    if not peer.problem:
        ratios = [ratio(peer.cpu, base.cpu), ratio(peer.wall, base.wall)]
        figures = [f"{peer.cpu:.2f}", f"{peer.wall:.2f}", peer.memory(), *ratios]
        found = peer.count(peer)
    cells = [f"`{peer.label}`", *figures, *(found.get(name) for name in COUNTED)]
    return "| " + " | ".join("–" if cell is None else str(cell) for cell in cells) + " |"


def measure(file, peers, limits):
    """Lets the peers take turns and prints their table, with ratios to the first of them."""
    take_turns(peers, file, limits)
    # Without objdump's figures and binframe's there is nothing to compare.
    for peer in peers[:3]:
        if peer.problem:
            sys.exit(f"error: {peer.label}: {peer.problem}")
    print(f"\n{file} ({getsize(file) / 1e6:.1f} MB)\n")
    print("| command | CPU s | wall s | peak MiB | CPU / objdump | wall / objdump | functions | blocks | instructions |")
    print("|---|" + "--:|" * 8)
    for peer in peers:
        print(row(peer, peers[0]), flush=True)
    tables = manifest(peers[1])
    rows, own = next((table["rows"], table["bytes"]) for table in tables if table["table"] == "instructions")
    if rows:
        whole = sum(table["bytes"] for table in tables)
        print(f"\n{own / rows:.2f} bytes an instruction in the table of instructions, {whole / rows:.2f} in all tables.")


def install(python):
    subprocess.run([python, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    for package in PACKAGES:
        command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", package]
        if subprocess.run(command).returncode != 0:
            print(f"{package} cannot be installed, and is left out", file=sys.stderr)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help="for objdump and binframe alone [the toolchain's cargo]")
    parser.add_argument("--file", default=shutil.which("bash"), help="for all peers [%(default)s]")
    common_arguments(parser)
    parser.add_argument(
        "--install", nargs="?", const=sys.executable, metavar="PYTHON",
        help="only install the peers of PyPI, for this Python; angr 10 needs 3.12 or later",
    )
    return parser.parse_args()


def main():
    limits = arguments()
    if limits.install:
        return install(limits.install)
    if not shutil.which("objdump"):
        sys.exit("error: objdump is not installed; install it with: apt-get install -y binutils")
    binframe = built_binframe(limits)
    installed = installed_versions()
    print_setting(limits, installed)
    with tempfile.TemporaryDirectory(prefix="binframe-peers.") as folder:
        work = Path(folder)
        for file in limits.files or [said_by(["rustup", "which", "cargo"])]:
            measure(file, objdump_and_binframe(binframe, file, work), limits)
        print()
        peers = objdump_and_binframe(binframe, limits.file, work) + others(limits.file, work, installed)
        measure(limits.file, peers, limits)


main()
