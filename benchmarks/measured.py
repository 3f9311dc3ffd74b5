"""The process that is measured: Airflow's own TriggerRunner, and nothing else but the samples."""

from __future__ import annotations

import argparse
import asyncio
import os

from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.sdk.execution_time.supervisor import _configure_logs_over_json_channel

from benchmarks.kinds import kinds
from benchmarks.samples import report


async def main() -> None:
    """Run triggers for the supervisor on standard input; write samples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measured", description=__doc__)
    parser.add_argument("--kind", required=True)
    parser.add_argument("--logs", type=int, required=True, help="file descriptor of the log channel")
    parser.add_argument("--samples", type=int, required=True, help="file descriptor that samples are written to")
    parser.add_argument("--tls", action="store_true")
    arguments = parser.parse_args()
    _configure_logs_over_json_channel(arguments.logs)
    kinds(arguments.tls)[arguments.kind].prepare()
    reporting = asyncio.create_task(report(os.fdopen(arguments.samples, "w", buffering=1)))
    await TriggerRunner().arun()
    reporting.cancel()


if __name__ == "__main__":
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"  # as TriggerRunner.run() does
    asyncio.run(main())
