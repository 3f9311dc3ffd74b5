"""What all kinds of job have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_nugen.api.job import FAILED, RUNNING, JobKind
from airflow_provider_nugen.api.nugen import endpoints, jobs
from airflow_provider_nugen.api.nugen.models import TaskStatus
from airflow_provider_nugen.api.registry import KINDS, by_key
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.seekr import jobs as seekr_jobs


def test_waits_in_the_database_carry_these_keys() -> None:
    assert KINDS["nugen.alignment"] is jobs.ALIGNMENT
    assert KINDS["nugen.evaluated_alignment"] is jobs.EVALUATED_ALIGNMENT
    assert KINDS["nugen.evaluation"] is jobs.EVALUATION
    assert KINDS["nugen.deployment"] is jobs.DEPLOYMENT
    assert KINDS["nugen.undeployment"] is jobs.UNDEPLOYMENT
    assert KINDS["seekr.alignment"] is seekr_jobs.ALIGNMENT


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.key)
def test_a_kind_asks_for_its_id_and_pushes_only_fields_of_its_status(kind: JobKind[Any]) -> None:
    call = kind.call("x/1")
    assert call.ids == {kind.id_name: "x/1"}
    assert "x%2F1" in call.request(kind.service.revisions[0], "c").target
    answer = call.read(RawResponse(200, b'{"status": "COMPLETED", "id": "x"}'), "c")
    assert set(kind.xcom_keys) <= kind.result(answer, kind.read_status(answer)).keys()


def test_the_detail_is_asked_for_where_there_is_one() -> None:
    assert jobs.ALIGNMENT.call("a", detail=True).endpoint is endpoints.ALIGNMENT_DETAIL
    assert jobs.ALIGNMENT.call("a").endpoint is endpoints.ALIGNMENT_STATUS
    assert jobs.EVALUATION.call("e", detail=True).endpoint is endpoints.EVALUATION_DETAIL
    assert jobs.DOCUMENT.call("d", detail=True).endpoint is endpoints.DOCUMENT_STATUS


@pytest.mark.parametrize("word", ["", None, "WHAT"])
def test_a_word_that_is_not_in_the_table_has_no_state(word: str | None) -> None:
    assert jobs.ALIGNMENT.state(word) is None


def test_where_the_words_say_all_nothing_refines_them() -> None:
    kind = replace(jobs.DEPLOYMENT, interpret=None)
    read = kind.read_status(TaskStatus.read({"status": "FAILED", "error": "broke"}))
    assert (read.state, read.reason) == (FAILED, "")


def test_a_job_is_named_by_what_it_is_and_its_id() -> None:
    assert jobs.DEPLOYMENT.subject("m-1") == "deployment of model 'm-1'"
    assert jobs.ALIGNMENT.subject(17) == "alignment '17'"


def test_a_status_word_that_would_never_match_is_refused() -> None:
    with pytest.raises(ValueError, match=r"nugen\.deployment: status words are compared in upper case, .*\['busy'\]"):
        replace(jobs.DEPLOYMENT, status_map={"busy": RUNNING})


def test_two_kinds_with_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the key 'nugen\.deployment': deployment of model and undeployment of model"):
        by_key([jobs.DEPLOYMENT, replace(jobs.UNDEPLOYMENT, key=jobs.DEPLOYMENT.key)])
