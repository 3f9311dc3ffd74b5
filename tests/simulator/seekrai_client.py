"""
SeekrFlow's own Python client against the simulator: prints one line of JSON about what it saw.

Run with a Python that has ``seekrai`` (not a dependency of the provider), and these environment variables:
``SEEKR_BASE_URL`` and ``SEEKR_API_KEY`` of a simulator. Jobs are let through by its control routes, so run it at
``speed=1``, at which nothing gets done by itself meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from importlib.metadata import version
from typing import Any

from seekrai import AsyncSeekrFlow, SeekrFlow  # type: ignore[import-not-found]
from seekrai.error import AuthenticationError, InvalidRequestError  # type: ignore[import-not-found]

URL = os.environ["SEEKR_BASE_URL"].rstrip("/")
KEY = os.environ["SEEKR_API_KEY"]


def finish(job_id: str) -> None:
    """Let a job come to its last word."""
    request = urllib.request.Request(f"{URL}/_simulator/jobs/{job_id}/finish", method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass


def alignments(client: Any) -> dict[str, Any]:
    """Start alignment jobs; complete one, cancel one, delete both."""
    first, second = (client.alignment.generate(instructions="Be polite.", files=["file-1"]) for _ in range(2))
    finish(first.id)
    outputs = client.alignment.outputs(first.id)
    seen = {
        "generated": first.status.value,
        "retrieved": client.alignment.retrieve(first.id).status.value,
        "output_files": [output.id for output in client.alignment.retrieve(first.id).output_files],
        "outputs": {output.purpose.value: output.id for output in outputs},
        "cancelled": client.alignment.cancel(second.id).status.value,
        "listed": {job.id for job in client.alignment.list().data} == {first.id, second.id},
    }
    for job in (first, second):
        client.alignment.delete(job.id)
    return {**seen, "left": len(client.alignment.list().data)}


def data_jobs(client: Any) -> dict[str, Any]:
    """Take a data job through its life, and cancel another."""
    jobs = client.data_jobs
    job = jobs.create(name="first", instructions="Be polite.")
    added = jobs.add_files(job.id, ["file-1", "file-2"])
    finish(job.id)
    ready = jobs.retrieve(job.id)
    started = jobs.start(job.id)
    finish(job.id)
    done = jobs.retrieve(job.id)
    other = jobs.create(name="second")
    return {
        "created": job.status.value,
        "files": [file.file_id for file in added.files],
        "ready": ready.status.value,
        "started": started.status.value,
        "alignment_job": started.alignment_job.id == started.alignment_job_id,
        "done": done.status.value,
        "outputs": len(done.alignment_job.output_files),
        "timeline": [event.event_type for event in done.timeline],
        "cancelled": jobs.cancel(other.id).status.value,
        "listed": [listed.name for listed in jobs.list().data],
        "of_type": len(jobs.list(job_type="context_grounded_files").data),
    }


async def asynchronous() -> str:
    """Start and read an alignment job with the asynchronous client."""
    async with AsyncSeekrFlow(base_url=URL, api_key=KEY) as client:
        job = await client.alignment.generate(instructions="Be polite.", files=["file-1"])
        return str((await client.alignment.retrieve(job.id)).status.value)


def errors(client: Any) -> dict[str, str]:
    """See how errors arrive."""
    seen = {}
    with SeekrFlow(base_url=URL, api_key="wrong", max_retries=0) as stranger:
        for name, call in (
            ("missing", lambda: client.alignment.retrieve("lost")),
            ("wrong_key", lambda: stranger.alignment.retrieve("lost")),
        ):
            try:
                call()
            except (AuthenticationError, InvalidRequestError) as e:
                seen[name] = f"{type(e).__name__}: {e}"
    return seen


def main() -> None:
    """Print what the client saw."""
    with SeekrFlow(base_url=URL, api_key=KEY, max_retries=0) as client:
        seen = {
            "seekrai": version("seekrai"),
            "alignments": alignments(client),
            "data_jobs": data_jobs(client),
            "asynchronous": asyncio.run(asynchronous()),
            "errors": errors(client),
        }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
