"""What the scripts that measure share: commands that take turns, and the least of their figures."""

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

VERSIONS = """
import importlib.metadata as metadata, json, sys
print(json.dumps({p.name.lower(): p.version for p in metadata.distributions() if p.name.lower() in sys.argv[1:]}))
"""


class Peer:
    """A command and the least figures of its runs."""

    def __init__(self, label, command, count=None, result=None, keeps_output=True):
        # Where it is asked for, `count` says what was found.
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


def manifest(peer):
    return json.loads((peer.result / "_binframe/manifest.json").read_text())["tables"]


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


def common_arguments(parser):
    parser.add_argument("--rounds", type=int, default=5, help="[%(default)s]")
    parser.add_argument("--seconds", type=int, default=600, help="limit of each run's time [%(default)s]")
    parser.add_argument("--memory", type=int, default=16, help="limit of each run's address space, GiB [%(default)s]")
    parser.add_argument("--binframe", help="the command to measure [a release build of this tree]")


def built_binframe(limits):
    if not limits.binframe:
        subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "binframe-cli"], check=True, cwd=ROOT)
    return limits.binframe or str(TARGET / "release/binframe")


def take_turns(peers, file, limits):
    """Runs each of the peers as often as is asked for, one after the other."""
    # Whoever comes first would otherwise pay for reading the file from the disk.
    subprocess.run(["cat", file], stdout=subprocess.DEVNULL, check=True)
    for _ in range(limits.rounds):
        for peer in peers:
            peer.run(limits)
