"""`python -m benchmarks LETTER|all|gpu [--quick] [--rows N]`, or `report` to write docs/performance.md again."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.figure import RESULTS, save
from benchmarks.rows import APART, MODULES, measure


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.what == "all":
        return _every(options)
    if options.what != "report":
        figure = measure(options.what, options.quick, options.rows)
        print(report.line(figure))
        save(figure, options.results)
    if options.results == RESULTS and not options.quick:
        report.write(options.results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("what", choices=[*MODULES, *APART, "all", "report"], help="a row, all of them, or the document")
    parser.add_argument("--quick", action="store_true", help="few rows, seconds instead of minutes; no document")
    parser.add_argument("--rows", type=int, help="how many gallery rows, instead of the row's own number")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON files are kept")
    return parser


def _every(options: argparse.Namespace) -> int:
    """Each row in a process of its own, so that none inherits another's threads and memory; a failed one is named."""
    failed = []
    for number, letter in enumerate(MODULES, 1):
        print(f"{number}/{len(MODULES)} {letter}", flush=True)
        command = [sys.executable, "-m", "benchmarks", letter, "--results", str(options.results)]
        command += ["--quick"] * options.quick + (["--rows", str(options.rows)] if options.rows else [])
        if subprocess.run(command, check=False).returncode:
            failed.append(letter)
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped; the rows measured so far are kept", file=sys.stderr)
        sys.exit(130)
