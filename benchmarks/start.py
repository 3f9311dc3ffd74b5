"""
What the modules of a provider cost each task and each parse of a DAG file that imports them.

Airflow imports the DAG file in a fresh process for every task, and again whenever it parses the file.
Each import is measured in a process of its own, after Airflow's own modules; the providers take turns, so that a busy
machine is busy for all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

#: What each DAG file has loaded before it imports a provider.
AIRFLOW = "from airflow.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator"
#: Libraries that a DAG file needs only to send requests.
HTTP = ("aiohttp", "requests", "httpx", "urllib3")

_PROGRAM = """
import json, sys, time
{airflow}
loaded, began = set(sys.modules), time.process_time()
import {modules}
cpu, new = time.process_time() - began, sys.modules.keys() - loaded
print(json.dumps([1000 * cpu, len(new), sorted(new & set({http}))]))
"""


@dataclass(frozen=True)
class Provider:
    """
    A provider that is measured.

    :param package: the package on the index.
    :param modules: what a DAG file imports of it: its operators and sensors.
    """

    package: str
    modules: tuple[str, ...]

    @property
    def version(self) -> str | None:
        """The version that is installed; ``None`` if it is not."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None


_AIRFLOW = "airflow.providers."
PROVIDERS = {
    "PythonOperator": Provider("apache-airflow-providers-standard", (_AIRFLOW + "standard.operators.python",)),
    "nugen and seekr": Provider(
        "airflow-provider-nugen",
        tuple(
            f"airflow_provider_nugen.{name}"
            for name in ("sensors.nugen", "sensors.seekr", "operators.nugen", "operators.seekr", "task_groups")
        ),
    ),
    "http": Provider(
        "apache-airflow-providers-http", (_AIRFLOW + "http.sensors.http", _AIRFLOW + "http.operators.http")
    ),
    "dbt-cloud": Provider(
        "apache-airflow-providers-dbt-cloud", (_AIRFLOW + "dbt.cloud.sensors.dbt", _AIRFLOW + "dbt.cloud.operators.dbt")
    ),
    "databricks": Provider(
        "apache-airflow-providers-databricks",
        (_AIRFLOW + "databricks.sensors.databricks", _AIRFLOW + "databricks.operators.databricks"),
    ),
    "openai": Provider("apache-airflow-providers-openai", (_AIRFLOW + "openai.operators.openai",)),
}


def measure(modules: Sequence[str]) -> tuple[float, int, list[str]]:
    """
    Import modules in a fresh process.

    :param modules: the names of the modules.
    :return: the CPU time in milliseconds, how many modules were loaded, and which HTTP libraries are among them.
    """
    # A worker has compiled modules.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    program = _PROGRAM.format(airflow=AIRFLOW, modules=", ".join(modules), http=HTTP)
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    cpu, loaded, libraries = json.loads(run.stdout.splitlines()[-1])
    return cpu, loaded, libraries


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Measure all that is installed, and print a table.

    :param arguments: command line arguments, those of the program by default.
    :return: exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="fresh processes for each provider (default: 7)")
    options = parser.parse_args(arguments)
    chosen = {name: provider for name, provider in PROVIDERS.items() if provider.version}
    for provider in chosen.values():
        # Writes the compiled modules.
        measure(provider.modules)
    runs = {name: list[tuple[float, int, list[str]]]() for name in chosen}
    for _ in range(options.repeats):
        for name, provider in chosen.items():
            runs[name].append(measure(provider.modules))
    cpu = {name: median(run[0] for run in measured) for name, measured in runs.items()}
    table = Table("provider", "CPU ms", "least", "x PythonOperator", "modules", "HTTP libraries", box=box.MARKDOWN)
    for name, measured in runs.items():
        _, loaded, libraries = measured[0]
        table.add_row(
            name,
            f"{cpu[name]:.0f}",
            f"{min(run[0] for run in measured):.0f}",
            f"{cpu[name] / cpu['PythonOperator']:.1f}",
            str(loaded),
            ", ".join(libraries) or "none",
        )
    console = Console(highlight=False, width=140)
    console.print(table)
    if missing := [provider.package for provider in PROVIDERS.values() if not provider.version]:
        console.print(f"Not installed, so not measured: {', '.join(missing)}", soft_wrap=True)
    versions = [f"{provider.package} {provider.version}" for provider in chosen.values()]
    console.print(
        f"Medians of {options.repeats} processes each. Python {platform.python_version()}, apache-airflow "
        f"{version('apache-airflow')}, {', '.join(versions)}.",
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
