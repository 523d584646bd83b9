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
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
ENVIRONMENT = TARGET / "peers"
PYTHON = str(ENVIRONMENT / "bin/python")
PACKAGES = ["sqlelf", "smda", "ddisasm", "angr"]
LONG_SECONDS = 30
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
VERSIONS = """
import importlib.metadata as metadata, json, sys
print(json.dumps({p.name.lower(): p.version for p in metadata.distributions() if p.name.lower() in sys.argv[1:]}))
"""


class Peer:
    """A command, how to count what it found, and the least figures of its runs."""

    def __init__(self, label, command, count, result=None, keeps_output=True):
        self.label, self.command, self.count = label, command, count
        # What it writes, which must not be there before it runs.
        self.result, self.keeps_output = result, keeps_output
        self.cpu = self.wall = self.peak = float("inf")
        self.output, self.problem = "", None

    def run(self, limits):
        if self.problem or LONG_SECONDS < self.wall < float("inf"):
            return
        if self.result:
            remove(self.result)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            stdout = output if self.keeps_output else subprocess.DEVNULL
            status, wall, usage = measured(self.command, stdout, errors, limits)
            output.seek(0)
            errors.seek(0)
            self.output, said = (stream.read().decode(errors="replace") for stream in (output, errors))
        cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        self.cpu, self.wall, self.peak = min(self.cpu, cpu), min(self.wall, wall), min(self.peak, peak)
        print(f"{self.label}: CPU {cpu:.2f} s, wall {wall:.2f} s, {peak:.0f} MiB", file=sys.stderr, flush=True)
        if status != 0:
            self.problem = problem(status, wall, said, limits)
            print(f"{self.label}: {self.problem}\n{said[-2000:]}", file=sys.stderr, flush=True)

    def row(self, base):
        figures, found = [self.problem, self.problem, None, None, None], {}
        if not self.problem:
            ratios = [ratio(self.cpu, base.cpu), ratio(self.wall, base.wall)]
            figures = [f"{self.cpu:.2f}", f"{self.wall:.2f}", self.memory(), *ratios]
            found = self.count(self)
        cells = [f"`{self.label}`", *figures, *(found.get(name) for name in COUNTED)]
        return "| " + " | ".join("–" if cell is None else str(cell) for cell in cells) + " |"

    def memory(self):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return f"≤ {own:.0f}" if self.peak <= own else f"{self.peak:.0f}"


def measured(command, output, errors, limits):
    """Runs a command in a session of its own, which is ended whole at the limit of time."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
    )
    # Set from here, for a function that runs before the command would make the child a copy of this process.
    resource.prlimit(process.pid, resource.RLIMIT_AS, (limits.memory << 30, limits.memory << 30))
    timer = threading.Timer(limits.seconds, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.perf_counter() - start, usage


def problem(status, wall, said, limits):
    if wall >= limits.seconds:
        return f"> {limits.seconds} s"
    # A process at the limit of its address space is not ended: it fails, and only what it says tells why.
    if re.search("MemoryError|bad_alloc|memory allocation|[Oo]ut of memory|allocate memory|exhausted", said):
        return f"> {limits.memory} GiB"
    return f"failed ({status})"


def ratio(value, base):
    quotient = value / base
    return f"{quotient:.3f}" if quotient < 10 else f"{quotient:.0f}"


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


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


def manifest(peer):
    return json.loads((peer.result / "_binframe/manifest.json").read_text())["tables"]


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


def measure(file, peers, limits):
    """Lets the peers take turns and prints their table, with ratios to the first of them."""
    # Whoever comes first would otherwise pay for reading the file from the disk.
    subprocess.run(["cat", file], stdout=subprocess.DEVNULL, check=True)
    size = os.path.getsize(file)
    for _ in range(limits.rounds):
        for peer in peers:
            peer.run(limits)
    # Without objdump's figures and binframe's there is nothing to compare.
    for peer in peers[:3]:
        if peer.problem:
            sys.exit(f"error: {peer.label}: {peer.problem}")
    print(f"\n{file} ({size / 1e6:.1f} MB)\n")
    print("| command | CPU s | wall s | peak MiB | CPU / objdump | wall / objdump | functions | blocks | instructions |")
    print("|---|" + "--:|" * 8)
    for peer in peers:
        print(peer.row(peers[0]), flush=True)
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


def said_by(command):
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def installed_versions():
    return json.loads(said_by([PYTHON, "-c", VERSIONS, *PACKAGES])) if os.path.exists(PYTHON) else {}


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def print_setting(limits, installed):
    versions = [said_by(["objdump", "--version"]).splitlines()[0], *(f"{n} {v}" for n, v in sorted(installed.items()))]
    print(f"{processor()}, {os.cpu_count()} processors; {', '.join(versions)};")
    print(f"least of {limits.rounds} rounds, one round of what takes longer than {LONG_SECONDS} s;", end=" ")
    load = os.getloadavg()[0]
    advice = ": other work runs on this machine, compare CPU seconds" if load > 0.5 else ""
    print(f"load {load:.1f} at the start{advice}.", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help="for objdump and binframe alone [the toolchain's cargo]")
    parser.add_argument("--file", default=shutil.which("bash"), help="for all peers [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="[%(default)s]")
    parser.add_argument("--seconds", type=int, default=600, help="limit of each run's time [%(default)s]")
    parser.add_argument("--memory", type=int, default=16, help="limit of each run's address space, GiB [%(default)s]")
    parser.add_argument("--binframe", help="the command to measure [a release build of this tree]")
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
    if not limits.binframe:
        subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "binframe-cli"], check=True, cwd=ROOT)
    binframe = limits.binframe or str(TARGET / "release/binframe")
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
