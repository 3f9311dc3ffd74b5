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
import tempfile
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seekrai import AsyncSeekrFlow, SeekrFlow  # type: ignore[import-not-found]
from seekrai.error import (  # type: ignore[import-not-found]
    AuthenticationError,
    InvalidRequestError,
    SeekrFlowException,
)
from seekrai.types import InfrastructureConfig, TrainingConfig  # type: ignore[import-not-found]

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


def files(client: Any, folder: Path) -> dict[str, Any]:
    """Upload files one by one and together, find them, fetch one, and delete another."""
    document, training, other = folder / "rules.md", folder / "pairs.jsonl", folder / "more.jsonl"
    document.write_text("# Rules\n\nBe polite.\n")
    line = json.dumps({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]})
    training.write_text(f"{line}\n" * 60)
    other.write_text(f"{line}\n" * 40)
    one = client.files.upload(document, purpose="alignment")
    many = client.files.bulk_upload([training, other], purpose="fine-tune")
    fetched = folder / "fetched"
    client.files.retrieve_content(one.id, output=fetched)
    seen = {
        "uploaded": [one.filename, one.bytes, one.type.value, one.purpose.value],
        "bulk": [file.filename for file in many],
        "retrieved": client.files.retrieve(one.id).filename,
        "same_content": fetched.read_bytes() == document.read_bytes(),
        "listed": [file.filename for file in client.files.list(purpose="fine-tune", sort_by="filename").data],
        "page": len(client.files.list(limit=1, offset=1).data),
        "deleted": client.files.delete(one.id).deleted,
        "training_files": [file.id for file in many],
    }
    try:
        client.files.upload(folder / "missing.exe", purpose="alignment")
    except OSError:
        seen["missing"] = True
    (folder / "tool.exe").write_text("x")
    try:
        client.files.upload(folder / "tool.exe", purpose="alignment")
    except ValueError as e:
        seen["refused"] = str(e)
    return seen


def fine_tunes(client: Any, training_files: list[str]) -> dict[str, Any]:
    """Fine-tune a model; cancel another."""
    project = client.projects.list().data[0].id
    config = TrainingConfig(
        training_files=training_files, model="meta-llama/Llama-3.1-8B-Instruct", n_epochs=2, experiment_name="mine"
    )
    infrastructure = InfrastructureConfig(accel_type="GAUDI2", n_accel=1)
    tuning = client.fine_tuning
    first, second = (
        tuning.create(project_id=project, training_config=config, infrastructure_config=infrastructure)
        for _ in range(2)
    )
    finish(first.id)
    done = tuning.retrieve(first.id)
    return {
        "created": [first.status.value, first.experiment_name],
        "done": [done.status.value, done.inference_available],
        "events": all(event.loss and event.epoch for event in tuning.list_events(first.id).data),
        "cancelled": tuning.cancel(second.id).status.value,
        "listed": len(tuning.list().data),
        "id": first.id,
    }


def deployments(client: Any, fine_tune_id: str) -> dict[str, Any]:
    """Deploy what was fine-tuned, ask it and its base model, and end it."""
    made = client.deployments.create("a name", "a description", "Fine-tuned Run", fine_tune_id, 1)
    question = [{"role": "user", "content": "Are you polite?"}]

    def ask(model: str) -> str:
        return str(client.chat.completions.create(model=model, messages=question).choices[0].message.content)

    try:
        ask(made.id)
    except SeekrFlowException as e:
        early = str(e)
    finish(made.id)
    active = client.deployments.retrieve(made.id)
    aligned, base = ask(made.id), ask("meta-llama/Llama-3.1-8B-Instruct")
    return {
        "created": made.status.value,
        "early": "not deployed" in early,
        "active": active.status.value,
        "differ": aligned != base and "polite" in aligned,
        "demoted": client.deployments.demote(made.id).status.value,
        "promoted": client.deployments.promote(made.id).status.value,
        "listed": [deployment.id for deployment in client.deployments.list().data] == [made.id],
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
        attempts: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("missing", lambda: client.alignment.retrieve("lost")),
            ("wrong_key", lambda: stranger.alignment.retrieve("lost")),
        )
        for name, read in attempts:
            try:
                read()
            except (AuthenticationError, InvalidRequestError) as e:
                seen[name] = f"{type(e).__name__}: {e}"
    return seen


def main() -> None:
    """Print what the client saw."""
    with SeekrFlow(base_url=URL, api_key=KEY, max_retries=0) as client, tempfile.TemporaryDirectory() as folder:
        uploaded = files(client, Path(folder))
        tuned = fine_tunes(client, uploaded.pop("training_files"))
        seen = {
            "files": uploaded,
            "deployments": deployments(client, tuned.pop("id")),
            "fine_tunes": tuned,
            "seekrai": version("seekrai"),
            "alignments": alignments(client),
            "data_jobs": data_jobs(client),
            "asynchronous": asyncio.run(asynchronous()),
            "errors": errors(client),
        }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
