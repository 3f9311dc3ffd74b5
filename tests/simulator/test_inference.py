"""Asking the simulated models of both services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.conftest import Api
from tests.simulator.test_seekr import fields_of
from tests.simulator.test_seekr_training import DEPLOYMENTS, MODEL, deploy, trained

NUGEN = "/api/v3/inference/chat/completions"
SEEKR = "/v1/inference/chat/completions"
BASE = {NUGEN: "nugen-flash-instruct", SEEKR: MODEL}


def ask(api: Api, path: str, model: str, prompt: str = "Why?") -> Any:
    body = {"model": model, "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": prompt}]}
    headers = {} if path == NUGEN else {"Authorization": api.simulator.world.api_key}
    return api.call("POST", path, json=body, headers=headers)


def said(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def deployed(api: Api, revision: str = "B") -> str:
    model = api.trained_model()
    path = f"models/{model}/deployment" if revision == "C" else f"models/deploy-model/{model}"
    api.json("POST", f"/api/v3/{path}")
    api.clock.forward(200)
    return model


@pytest.mark.parametrize("path", [NUGEN, SEEKR])
def test_the_shape_is_openais(api: Api, path: str) -> None:
    answer = ask(api, path, BASE[path], "Why is it so?").json()
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["prompt_tokens"] == 4
    assert "confidence_score" not in answer


@pytest.mark.parametrize("revision", ["A", "B", "C"])
def test_an_aligned_model_of_nugen_answers_otherwise_and_with_a_confidence(
    simulate: Callable[..., Api], revision: str
) -> None:
    api = simulate(nugen_revision=revision)
    answer = ask(api, NUGEN, deployed(api, revision))
    assert said(answer) != said(ask(api, NUGEN, BASE[NUGEN]))
    assert 85 <= answer.json()["confidence_score"] <= 100


def test_a_model_of_nugen_that_is_not_deployed_says_so(api: Api) -> None:
    model = api.trained_model()
    for _ in range(2):
        answer = ask(api, NUGEN, model)
        assert (answer.status_code, answer.json()) == (400, {"detail": "Model not deployed"})
        api.json("POST", f"/api/v3/models/deploy-model/{model}")
        api.clock.forward(200)
        said(ask(api, NUGEN, model))
        api.json("DELETE", f"/api/v3/models/undeploy-model/{model}")
        api.clock.forward(200)


def test_a_deployment_of_seekrflow_is_asked_by_its_own_id(api: Api) -> None:
    model = trained(api)
    made = deploy(api, model)["id"]
    early = ask(api, SEEKR, made)
    assert (early.status_code, early.json()["message"]) == (400, f"Model not deployed: deployment {made} is Pending")
    api.clock.forward(100)
    assert said(ask(api, SEEKR, made)) != said(ask(api, SEEKR, MODEL))
    assert ask(api, SEEKR, model).status_code == 404
    api.json("PUT", f"{DEPLOYMENTS}/{made}/demote")
    assert ask(api, SEEKR, made).status_code == 400


def test_a_model_may_take_a_while_until_it_answers(simulate: Callable[..., Api]) -> None:
    api = simulate(durations={"seekr_deployment": {"Warming": 30}})
    made = deploy(api, trained(api))["id"]
    api.clock.forward(60)
    codes = []
    for _ in range(35):
        codes.append(ask(api, SEEKR, made).status_code)
        api.clock.forward(1)
    assert [*dict.fromkeys(codes)] == [502, 504, 200]
    assert codes.count(200) == 5


@pytest.mark.parametrize("path", [NUGEN, SEEKR])
@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["model", "messages"]),
        ({"model": "m", "messages": []}, ["messages"]),
        ({"model": "m", "messages": [{"role": "boss", "content": "x"}]}, ["messages.0.role"]),
        ({"model": "m", "messages": [{"role": "user"}]}, ["messages.0.content"]),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": "five"}, ["max_tokens"]),
    ],
)
def test_422_of_a_question(api: Api, path: str, body: Any, fields: list[str]) -> None:
    headers = {} if path == NUGEN else {"Authorization": api.simulator.world.api_key}
    assert fields_of(api.call("POST", path, json=body, headers=headers)) == fields


@pytest.mark.parametrize("path", [NUGEN, SEEKR])
def test_nobody_answers_a_stranger(api: Api, path: str) -> None:
    assert api.call("POST", path, json={}, authorization="wrong").status_code == 401
