"""
The recorded answers of the live service, and what was not recorded of the same runs.

A body that was not recorded, and a call that had to be made all the same, have the shape that the vendor's pages and
the contract give them: see the Nugen page of the documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parents[1] / "recorded"
V3 = "/api/v3"


@dataclass(frozen=True)
class Call:
    """A call and its answer; text as a body is sent as it is."""

    method: str
    path: str
    status: int | None
    body: Any

    @property
    def name(self) -> str:
        """The call without its prefix."""
        return f"{self.method} {self.path.removeprefix(V3)}"


class B:
    """The run of revision B."""

    TASK, DOCUMENT = "01K0TASK0000001", "doc_01K0DOC0000001"
    BENCHMARK = "01K0BEN00000000000000UP001"
    ALIGNMENT = "alignment_01K0ALI0000001"
    MODEL, BASE = "-support-2026-07-alignment-01k0b0c0d0e0f0g", "llama-v3p2-3b-reasoning"
    EVALUATION = "eval_01K0EVA0000001"


class C:
    """The run of revision C."""

    DOCUMENT = "document_01m0doc00000001"
    BENCHMARK = "benchmark_01m0ben00000001"
    ALIGNMENT = "alignment_01m0ali00000001"
    MODEL, BASE = "model_01m0mod00000001", "qwen2-vl-2b-instruct"
    EVALUATION = "evaluation_01m0eva00000001"


def base_models(*names: str) -> dict[str, Any]:
    """Return the list of base models, of which one cannot be aligned."""
    return {
        "models": [
            {
                "model_id": name,
                "model_name": name.title(),
                "parameters": "3B",
                "alignment_ready": name != "another-model",
                "available_on_request": False,
                "type": "base",
            }
            for name in ("another-model", *names)
        ]
    }


def _envelope(model_id: str, status: str, result: Any = None) -> dict[str, Any]:
    # The times are those of the status request, as recorded, and older than the deployment.
    time = "2026-07-16T06:53:56.029517"
    return {"model_id": model_id, "status": status, "result": result, "start_time": time, "end_time": time}


_ALIGNMENT_C = {
    "alignment_id": C.ALIGNMENT,
    "alignment_name": "nightly",
    "base_model_id": C.BASE,
    "status": "READY",
    "created_at": "2026-09-29 14:40:01.409223",
    "completed_at": "2026-09-29 14:48:11.112201",
    "document_ids": [C.DOCUMENT],
    "document_count": 1,
    "creator": "user@example.com",
    "performance_metrics": None,
    "progress": 100,
    "estimated_completion": None,
    "error": None,
    "evaluation_id": None,
    "model_id": C.MODEL,
    "gpu_training_completed": True,
    "queue_position": None,
    "eta_seconds": None,
    "early_deployable": False,
    "stage_failures": [],
    "degraded": False,
}
#: Revision C's evaluation once it is done: its detail as recorded before, and its results, whose shape is not known
#: to differ from revision B's.
_DONE_C = {
    "status": "READY",
    "progress": "10/10 samples",
    "n_samples_completed": 10,
    "n_samples": 10,
    "eta_seconds": 0,
    "completed_at": "2026-09-29 15:06:11.100000",
}
_RESULTS_C = {
    "evaluation_id": C.EVALUATION,
    "model_id": C.MODEL,
    "benchmark_id": C.BENCHMARK,
    "status": "READY",
    "metrics": {"answer_relevance_mean": 0.91, "binary_correctness_mean": 0.8},
    "raw_answers_count": 10,
    "completed_at": "2026-09-29T15:06:11.100000",
    "method": "eval",
}
#: Bodies that were not recorded, by call and in order.
_BODIES: dict[str, list[Any]] = {
    f"GET /documents/{C.DOCUMENT}/status": [{"document_id": C.DOCUMENT, "status": "READY"}],
    "GET /models/base": [base_models(C.BASE)],
    "POST /alignment-projects/create": [{"alignment_id": C.ALIGNMENT, "status": "QUEUED"}],
    "POST /benchmarks/create": [{"benchmark_id": C.BENCHMARK, "status": "PROCESSING"}],
    f"GET /benchmarks/{C.BENCHMARK}/status": [{"benchmark_id": C.BENCHMARK, "status": "READY"}],
    f"GET /benchmarks/{C.BENCHMARK}/data": [{"benchmark_id": C.BENCHMARK, "status": "READY", "questions": []}],
    f"GET /alignment-projects/{C.ALIGNMENT}/status": [
        {
            "status": "READY",
            "data": _ALIGNMENT_C,
            "start_time": "2026-09-29T14:48:51.112761",
            "end_time": "2026-09-29T14:48:51.139647",
            "gpu_training_completed": True,
        }
    ],
    f"GET /alignment-projects/{C.ALIGNMENT}": [_ALIGNMENT_C],
    f"POST /models/{C.MODEL}/deployment": [{"model_id": C.MODEL}],
    f"GET /models/{C.MODEL}/deployment/status": [
        _envelope(C.MODEL, "DEPLOYED"),
        _envelope(C.MODEL, "UNDEPLOYED"),
    ],
    f"GET /models/{C.MODEL}": [
        {
            "model_id": C.MODEL,
            "model_name": "nightly",
            "base_model_id": C.BASE,
            "alignment_id": C.ALIGNMENT,
            "deployment_status": "DEPLOYED",
            "error": None,
            "evaluation_data": {"evaluation_id": None, "status": None, "all_evaluations": []},
        }
    ],
    "POST /evaluations/create": [
        {
            "evaluation_id": C.EVALUATION,
            "model_id": C.MODEL,
            "status": "CREATED",
            "benchmark_id": C.BENCHMARK,
            "created_at": "2026-09-29 15:01:54.409223",
            "message": "Evaluation created",
        }
    ],
    f"GET /evaluations/{C.EVALUATION}/status": [
        {
            "evaluation_id": C.EVALUATION,
            "status": "CREATED",
            "benchmark_id": C.BENCHMARK,
            "progress": None,
            "eta_seconds": None,
        }
    ],
    f"DELETE /models/{C.MODEL}/deployment": [C.MODEL],
}


def recorded(name: str) -> list[Call]:
    """Read a recording as it is."""
    return [Call(**call) for call in json.loads((RECORDED / f"{name}.json").read_text())["calls"]]


def revision_b(refusal: int = 400) -> list[Call]:
    """
    Return the run of revision B.

    :param refusal: the status of the refused deployment, which was not recorded.
    """
    calls = [
        replace(call, status=refusal) if call.status is None else call
        for call in recorded("nugen-b-2026-07")
        # The generated benchmark has no status that was recorded.
        if call.name != "POST /benchmark/create"
    ]
    deploy, undeploy = f"/models/deploy-model/{B.MODEL}", f"/models/undeploy-model/{B.MODEL}"
    return [
        Call("GET", f"{V3}/models/base", 200, base_models(B.BASE)),
        Call("GET", f"{V3}/benchmark/list", 200, {"benchmarks": []}),
        *calls[: _index(calls, f"POST {deploy}") + 1],
        Call("POST", f"{V3}{deploy}", 200, B.MODEL),
        *calls[_index(calls, f"POST {deploy}") + 1 :],
        Call("DELETE", f"{V3}{undeploy}", 200, {"model_id": B.MODEL}),
        Call("GET", f"{V3}{undeploy}/status", 200, _envelope(B.MODEL, "COMPLETED")),
    ]


def revision_c() -> list[Call]:
    """Return the run of revision C, whose evaluation gets done in the end."""
    calls = list(_with_bodies(recorded("nugen-c-2026-09")))
    detail, results = f"GET /evaluations/{C.EVALUATION}", f"GET /evaluations/{C.EVALUATION}/results"
    end = _index(calls, results) + 1
    last = calls[_index(calls, detail)]
    return [
        *calls[: _index(calls, detail) + 1],
        replace(last, body={**last.body, **_DONE_C}),
        *calls[_index(calls, detail) + 1 : end],
        Call("GET", calls[_index(calls, results)].path, 200, _RESULTS_C),
        *calls[end:],
    ]


def _index(calls: list[Call], name: str) -> int:
    return next(index for index, call in enumerate(calls) if call.name == name)


def _with_bodies(calls: list[Call]) -> Iterator[Call]:
    bodies = {name: list(made) for name, made in _BODIES.items()}
    for call in calls:
        yield replace(call, body=bodies[call.name].pop(0)) if call.body is None else call
    assert not any(bodies.values()), "a body that no call of the recording lacks"
