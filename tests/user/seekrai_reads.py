"""
SeekrFlow's own Python client reads what a pipeline made: prints one line of JSON.

Run as ``tests/simulator/seekrai_client.py`` is; it changes nothing.
"""

from __future__ import annotations

import json
import os
import sys

from seekrai import SeekrFlow  # type: ignore[import-not-found]

client = SeekrFlow(
    base_url=os.environ["SEEKR_BASE_URL"].rstrip("/"), api_key=os.environ["SEEKR_API_KEY"], max_retries=0
)
with client:
    (job,) = client.data_jobs.list().data
    (tuned,) = client.fine_tuning.list().data
    (deployment,) = client.deployments.list().data
    seen = {
        "files": sorted(file.filename for file in client.files.list(purpose="alignment").data),
        "data_job": [job.status.value, len(client.data_jobs.retrieve(job.id).alignment_job.output_files)],
        "fine_tune": [tuned.id, tuned.status.value, len(tuned.training_files)],
        "deployment": [deployment.id, deployment.model_id, deployment.status.value],
    }
    if deployment.status.value == "Active":
        question = [{"role": "user", "content": "Are you polite?"}]
        answer = client.chat.completions.create(model=deployment.id, messages=question)
        seen["answer"] = answer.choices[0].message.content
sys.stdout.write(json.dumps(seen) + "\n")
