"""Measures algorithms on graphs; run by graph.sh: `graph.py GRAPH_TIMES EDGES`."""

import contextlib
import io
import os
import subprocess
import sys
import time

import numpy

VERTEX_COUNT = 1_000_000


def least(times, library, name, milliseconds):
    times[library, name] = min(milliseconds, times.get((library, name), milliseconds))
    print(f"{library}: {name}: {milliseconds:.0f} ms", file=sys.stderr, flush=True)


def timed(times, library, name, work):
    start = time.perf_counter()
    result = work()
    least(times, library, name, (time.perf_counter() - start) * 1e3)
    return result


def binframe(times, command, edges_path):
    output = subprocess.run([command, edges_path], check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        name, milliseconds = line.split("\t")
        least(times, "binframe", name, float(milliseconds))


def rustworkx_round(times, rustworkx, graph):
    def run(name, work):
        timed(times, "rustworkx", name, work)

    # Its tolerance is for each vertex.
    run("PageRank", lambda: rustworkx.pagerank(graph, alpha=0.85, tol=1e-6 / VERTEX_COUNT, max_iter=1000))
    run("breadth first", lambda: rustworkx.bfs_layers(graph, [0]))
    run("strong components", lambda: rustworkx.strongly_connected_components(graph))


def parquetframe_round(times, rustic, sources, targets):
    def run(name, work):
        return timed(times, "parquetframe", name, work)

    narrow = sources.astype(numpy.int32), targets.astype(numpy.int32)
    indptr, indices, _ = run("build", lambda: rustic.build_csr_rust(*narrow, VERTEX_COUNT, None))
    roots = numpy.zeros(1, dtype=numpy.int32)
    run("breadth first", lambda: rustic.bfs_rust(indptr, indices, VERTEX_COUNT, roots, None))
    # Its PageRank scans all edges for each vertex: 20,000 vertices with eight times the edges take it seconds a round, and this
    # graph would take it hours.


def main():
    command, edges_path = sys.argv[1:]
    times, rounds = {}, int(os.environ.get("ROUNDS", "3"))
    binframe(times, command, edges_path)
    sources, targets = numpy.fromfile(edges_path, dtype="<u4").reshape(2, -1)
    peers, versions = [], []
    try:
        import rustworkx

        graph = rustworkx.PyDiGraph()
        graph.add_nodes_from(range(VERTEX_COUNT))
        pairs = list(zip(sources.tolist(), targets.tolist()))
        timed(times, "rustworkx", "build", lambda: graph.extend_from_edge_list(pairs))
        del pairs
        peers.append(lambda: rustworkx_round(times, rustworkx, graph))
        versions.append(f"rustworkx {rustworkx.__version__}")
    except ImportError as problem:
        print(f"rustworkx is left out: {problem}", file=sys.stderr)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import parquetframe
            from parquetframe import _rustic
        peers.append(lambda: parquetframe_round(times, _rustic, sources, targets))
        versions.append(f"parquetframe {parquetframe.__version__}")
    except ImportError as problem:
        print(f"parquetframe is left out: {problem}", file=sys.stderr)
    for _ in range(rounds):
        binframe(times, command, edges_path)
        for peer in peers:
            peer()
    print(f"{VERTEX_COUNT} vertices, {len(sources)} edges; least of {rounds} rounds, in milliseconds;")
    print(f"{', '.join(versions)}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.\n")
    libraries = ["binframe", "rustworkx", "parquetframe"]
    print(f"| | {' | '.join(libraries)} |\n|---|{'--:|' * len(libraries)}")
    for name in dict.fromkeys(name for _, name in times):
        cells = (times.get((library, name)) for library in libraries)
        print(f"| {name} | {' | '.join('–' if cell is None else f'{cell:.0f}' for cell in cells)} |")


main()
