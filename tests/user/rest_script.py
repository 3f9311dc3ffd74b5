"""Align a model and deploy it, with requests: the script that the DAG beside it replaces."""

import os
import time
from typing import Any

import requests

API = os.environ.get("NUGEN_URL", "https://api.nugen.in") + "/api/v3"
HEADERS = {"Authorization": f"Bearer {os.environ['NUGEN_API_KEY']}"}
PAUSE = float(os.environ.get("POLL_SECONDS", "60"))


def call(method: str, path: str, **options: Any) -> dict[str, Any]:
    """Send a request and return its JSON."""
    answer = requests.request(method, API + path, headers=HEADERS, timeout=30, **options)
    answer.raise_for_status()
    result: dict[str, Any] = answer.json()
    return result


def wait(path: str, done: str) -> dict[str, Any]:
    """Poll until a job is done."""
    while True:
        status = call("GET", path)
        if status["status"] == done:
            return status
        if status["status"] == "FAILED":
            raise SystemExit(f"failed: {status}")
        time.sleep(PAUSE)


body = {"name": "support answers", "base_model": "nugen-flash-instruct", "document_ids": ["doc-demo-1"]}
alignment_id = call("POST", "/alignment-project/create", json=body)["alignment_id"]
wait(f"/alignment-project/status/{alignment_id}", "READY")
model_id = call("GET", f"/alignment-project/{alignment_id}")["model_id"]
call("POST", f"/models/deploy-model/{model_id}")
wait(f"/models/deploy-model/{model_id}/status", "COMPLETED")
print(model_id)
