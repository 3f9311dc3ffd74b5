"""
What one waiting trigger costs the triggerer, beside a bare one and those of other providers.

Runs Airflow's own TriggerRunner in a process of its own, plays its supervisor, and has it wait for jobs that never
end at a server that counts. Every run gets fresh processes. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from cryptography.fernet import Fernet
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from airflow_provider_nugen import __version__
from benchmarks.kinds import INTERVAL, Kind, kinds
from benchmarks.measuring import Figures, claim_machine, measure
from benchmarks.status_server import LATENCY
from devtools.certificates import make_certificate

COLUMNS = (
    "CPU s per 1000 polls",
    "x bare",
    "TCP connections per 1000 polls",
    "worst loop lag, ms",
    "RSS per wait, KiB",
    "log lines per 1000 polls",
    "lookups per 1000 polls",
    "polls/s of those due",
)
#: What was measured, by number of waits and kind.
Results = dict[int, dict[str, list[Figures]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Measure, and print the tables; also what there is of them when interrupted.

    :param arguments: command line arguments, those of the program by default.
    :return: exit code.
    """
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    if options.markdown or not console.is_terminal:
        console = Console(highlight=False, width=220)
    known = kinds(options.tls)
    chosen = [known[name] for name in options.kinds or known if known[name].installed]
    if missing := [known[name].package for name in options.kinds or known if not known[name].installed]:
        console.print(f"Not installed, so not measured: {', '.join(missing)}")
    results: Results = {waits: {} for waits in options.waits}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        certificate = Path(home) / "server.pem"
        make_certificate(certificate)
        _isolate(home, certificate)
        claim_machine()
        try:
            failed = asyncio.run(_run(chosen, options, certificate if options.tls else None, console, results))
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("Stopped.")
            failed = 1
    for waits, runs in results.items():
        if runs:
            _report(console, waits, {name: Figures.median(figures) for name, figures in runs.items()}, options)
    console.print(_environment(chosen), soft_wrap=True)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    def names(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(every):
            raise argparse.ArgumentTypeError(f"no such kind: {', '.join(unknown)}; there are {', '.join(every)}")
        return text.split(",")

    every = list(kinds(tls=False))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triggers", description=__doc__)
    parser.add_argument("--kinds", type=names, help=f"some of {','.join(every)} (default: all)")
    parser.add_argument("--waits", type=numbers, default="100,1000", help="numbers of waits (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of the measured time (%(default)s)")
    parser.add_argument("--tls", action="store_true", help="ask over https")
    parser.add_argument("--markdown", action="store_true", help="print tables for the README")
    return parser


def _isolate(home: str, certificate: Path) -> None:
    """Let this process, and all it starts, know an Airflow of their own, no proxy, and our certificate."""
    for name in list(os.environ):
        if name.startswith("AIRFLOW_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "NO_PROXY": "*",
        "PYTHONWARNINGS": "ignore",
        "SSL_CERT_FILE": str(certificate),
        "REQUESTS_CA_BUNDLE": str(certificate),
    }


async def _run(
    chosen: Sequence[Kind], options: argparse.Namespace, certificate: Path | None, console: Console, results: Results
) -> int:
    """Measure all into ``results``; return how many runs failed."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    failed = 0
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, refresh_per_second=2) as progress:
        bar = progress.add_task("", total=options.repeats * len(options.waits) * len(chosen))
        # One kind after the other, again and again: what else happens on the machine happens to all of them.
        for repeat in range(options.repeats):
            for waits in options.waits:
                for kind in chosen:
                    progress.update(bar, description=f"{waits} x {kind.name}, run {repeat + 1}")
                    try:
                        figures = await measure(kind, waits, options.seconds, certificate)
                        results[waits].setdefault(kind.name, []).append(figures)
                    except Exception as e:
                        failed += 1
                        console.print(f"{waits} x {kind.name} failed: {type(e).__name__}: {e}", markup=False)
                    progress.advance(bar)
    return failed


def _report(console: Console, waits: int, results: dict[str, Figures], options: argparse.Namespace) -> None:
    """Print the table of one number of waits."""
    console.print(
        f"\n{waits} waits over {'https' if options.tls else 'http'}: a poll every {INTERVAL:g} s, each answered after "
        f"{1000 * LATENCY:g} ms; median of {options.repeats}, {options.seconds:g} s each"
    )
    table = Table("trigger", box=box.MARKDOWN if options.markdown else box.ROUNDED)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=options.markdown)
    notes = []
    for name, figures in results.items():
        if figures.polled < waits:
            notes.append(f"{name}: only {figures.polled:.0f} of {waits} waits had polled when the measuring began.")
        if figures.server > 0.9:
            notes.append(f"{name}: the server had no CPU to spare.")
        table.add_row(
            name,
            f"{figures.cpu:.3f}",
            f"{figures.cpu / results['bare'].cpu:.1f}" if "bare" in results else "-",
            f"{figures.connections:.0f}",
            f"{1000 * figures.lag:.0f}",
            f"{figures.memory / 1024:.0f}",
            f"{figures.log_lines:.0f}",
            f"{figures.lookups:.0f}",
            f"{figures.polls:.0f} of {figures.due:.0f}",
        )
    console.print(table, *notes, sep="\n")


def _environment(chosen: Sequence[Kind]) -> str:
    packages = dict.fromkeys(["apache-airflow", *(kind.package for kind in chosen if kind.package), "aiohttp"])
    versions = {name: metadata.version(name) for name in packages}
    software = {"Python": platform.python_version(), "airflow-provider-nugen": __version__, **versions}
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in cpuinfo if line.startswith("model name")), platform.machine())
    machine = f"{cpu}, {os.cpu_count()} cores, {platform.system()}"
    return f"{', '.join(f'{name} {version}' for name, version in software.items())}; {machine}"


if __name__ == "__main__":
    sys.exit(main())
