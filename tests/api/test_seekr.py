"""What SeekrFlow says."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_nugen.api.job import CANCELLED, FAILED, RUNNING, SUCCEEDED, JobKind, JobState
from airflow_provider_nugen.api.seekr.endpoints import ALIGNMENT_OUTPUTS, CREATE_ALIGNMENT, LIST_ALIGNMENTS
from airflow_provider_nugen.api.seekr.jobs import ALIGNMENT, DATA_JOB, DATA_JOB_FILES
from airflow_provider_nugen.api.seekr.models import AlignmentJob, DataJob

TABLE = {
    "pending": RUNNING,
    "queued": RUNNING,
    "running": RUNNING,
    "completed": SUCCEEDED,
    "failed": FAILED,
    "cancelled": CANCELLED,
    "stopped": CANCELLED,
}


def job(**fields: Any) -> AlignmentJob:
    return AlignmentJob.read({"id": "j-1", "created_at": "2026-03-05T05:16:01Z", "status": "running", **fields})


@pytest.mark.parametrize(("word", "state"), TABLE.items())
@pytest.mark.parametrize("write", [str.upper, str.lower, str.title])
def test_every_word_means_what_the_facts_say_in_any_case(word: str, state: JobState, write: Any) -> None:
    read = ALIGNMENT.read_status(job(status=write(word)))
    assert (read.state, read.is_known_status, read.status) == (state, True, write(word))


def test_there_is_no_word_in_the_table_that_the_facts_do_not_have() -> None:
    assert dict(ALIGNMENT.status_map) == {word.upper(): state for word, state in TABLE.items()}


@pytest.mark.parametrize("word", ["needs_review", "READY", ""])
def test_an_unknown_word_is_taken_for_running(word: str) -> None:
    read = ALIGNMENT.read_status(job(status=word))
    assert (read.state, read.is_known_status) == (RUNNING, False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"progress": 45.5}, {"progress": 45.5}),
        ({"progress": "almost"}, {"progress": "almost"}),
        ({"eta_minutes": 5}, {"eta_seconds": 300.0}),
        ({"eta_minutes": 0}, {"eta_seconds": 0.0}),
        ({"eta_minutes": "soon"}, {"eta_seconds": None}),
        ({"status": "failed", "status_message": "bad file"}, {"reason": "bad file"}),
        ({}, {"progress": None, "eta_seconds": None, "eta": None, "reason": ""}),
    ],
)
def test_progress_estimate_and_reason_are_read(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    read = ALIGNMENT.read_status(job(**fields))
    assert {name: getattr(read, name) for name in expected} == expected


def test_the_estimated_end_is_read() -> None:
    read = ALIGNMENT.read_status(job(estimated_completion_at="2026-03-05T07:00:00Z"))
    assert str(read.eta) == "2026-03-05 07:00:00+00:00"


def test_unknown_fields_and_fields_that_contradict_the_contract_do_not_matter() -> None:
    answer = job(step_progress={}, output_files="none", new_field=[1], completed_at="later")
    assert (answer.step_progress, answer.output_files, answer.completed_at) == (None, None, None)


def test_a_job_needs_only_its_status_to_be_waited_for_but_a_new_one_needs_its_id() -> None:
    assert AlignmentJob.read({"status": "running"}).id is None
    with pytest.raises(ValueError, match="field 'id'"):
        CREATE_ALIGNMENT.read({"status": "running"})
    assert CREATE_ALIGNMENT.read({"id": "j-1", "status": "pending"}).id == "j-1"


def test_all_fields_of_an_alignment_are_sent_under_their_own_names() -> None:
    fields = {
        "instructions": "teach",
        "files": ["f-1"],
        "system_prompt": "be kind",
        "type": "context_data",
        "vector_database_id": "v-1",
    }
    assert CREATE_ALIGNMENT.call(**fields).request("", "c").json == fields


def test_a_list_is_taken_out_of_its_object() -> None:
    jobs = LIST_ALIGNMENTS.read({"object": "list", "data": [{"id": "j-1", "status": "running"}]})
    assert [(job.id, job.status) for job in jobs] == [("j-1", "running")]


@pytest.mark.parametrize("payload", [{}, [], {"data": None}, {"data": [{"status": "no id"}]}, {"data": ["j-1"]}])
def test_a_list_with_a_job_that_cannot_be_read_is_unreadable_since_it_could_be_the_one_looked_for(payload: Any) -> None:
    with pytest.raises(ValueError, match=r"data|'id'|object"):
        LIST_ALIGNMENTS.read(payload)


@pytest.mark.parametrize(
    ("word", "files", "whole"),
    [
        ("file_processing", RUNNING, RUNNING),
        ("ready_to_start", SUCCEEDED, RUNNING),
        ("needs_review", FAILED, FAILED),
        ("pending", SUCCEEDED, RUNNING),
        ("queued", SUCCEEDED, RUNNING),
        ("running", SUCCEEDED, RUNNING),
        ("completed", SUCCEEDED, SUCCEEDED),
        ("failed", FAILED, FAILED),
        ("cancelled", CANCELLED, CANCELLED),
        ("stopped", CANCELLED, CANCELLED),
    ],
)
def test_a_data_job_has_files_to_process_before_it_can_start(word: str, files: JobState, whole: JobState) -> None:
    for kind, state in ((DATA_JOB_FILES, files), (DATA_JOB, whole)):
        read = kind.read_status(DataJob.read({"id": "j-1", "status": word}))
        assert (read.state, read.is_known_status) == (state, True)


@pytest.mark.parametrize("word", [*ALIGNMENT.status_map])
def test_a_failure_of_the_alignment_is_no_success_of_the_files(word: str) -> None:
    # A word that means failure for the alignment means it for the files, too, also one that is added later.
    state = ALIGNMENT.status_map[word]
    assert DATA_JOB_FILES.status_map[word] is (SUCCEEDED if state is RUNNING else state)
    assert DATA_JOB.status_map[word] is state


FILE = {"file_id": "f-1", "name": "a.pdf", "status": "completed"}
BAD_FILE = {"file_id": "f-2", "name": "b.pdf", "status": "failed", "suggested_fix": "remove the password"}


@pytest.mark.parametrize("kind", [DATA_JOB, DATA_JOB_FILES], ids=lambda kind: kind.key)
@pytest.mark.parametrize(
    ("fields", "what", "is_stated"),
    [
        ({}, "its files need a review, or it has no files or no system prompt", False),
        ({"files": []}, "it has no files yet", True),
        ({"files": [FILE], "system_prompt": None}, "it has no system prompt", False),
        ({"files": [FILE], "system_prompt": ""}, "it has no system prompt", False),
        ({"files": [FILE], "system_prompt": "Be kind."}, "its files need a review", False),
        ({"files": [{"file_id": "f-1"}]}, "its files need a review, or it has no system prompt", False),
        ({"files": [FILE, BAD_FILE]}, "files need a review: 'b.pdf' is failed (remove the password)", True),
        ({"files": [{"file_id": "f-3", "status": "FAILED"}]}, "files need a review: 'f-3' is FAILED", True),
    ],
)
def test_a_data_job_that_needs_a_review_says_why_a_person_must_act(
    kind: JobKind[DataJob], fields: dict[str, Any], what: str, is_stated: bool
) -> None:
    # The service's own reason goes before what is only guessed, and beside what the answer states.
    message = {"status_message": "two files are empty"}
    for said in ({}, message):
        read = kind.read_status(DataJob.read({"status": "needs_review", **said, **fields}))
        assert (read.state, read.needs_action, read.is_terminal_failure) == (FAILED, True, False)
        because = what
        if said:
            because = f"{what} (two files are empty)" if is_stated else "two files are empty"
        assert read.reason == f"{because}: a person must act on the data job in SeekrFlow"


def test_a_data_job_tells_of_the_alignment_job_inside_it() -> None:
    inner = {"id": "a-1", "status": "running", "progress": 40, "eta_minutes": 2, "step_progress": {}}
    answer = DataJob.read({"status": "running", "alignment_job": inner})
    read = DATA_JOB.read_status(answer)
    assert (read.progress, read.eta_seconds) == (40, 120)
    assert answer.alignment_job is not None
    assert answer.alignment_job.step_progress is None
    assert DataJob.read({"status": "running", "alignment_job": "none"}).alignment_job is None


@pytest.mark.parametrize(("word", "stalls"), [("ready_to_start", True), ("running", False), ("file_processing", False)])
def test_a_data_job_that_nobody_starts_stalls(word: str, stalls: bool) -> None:
    assert bool(DATA_JOB.read_status(DataJob.read({"status": word})).stall_reason) is stalls


@pytest.mark.parametrize("payload", [{}, None, ["x"], {"data": []}])
def test_outputs_are_a_list_of_files(payload: Any) -> None:
    assert ALIGNMENT_OUTPUTS.read([{"id": "f-1"}]) == [{"id": "f-1"}]
    with pytest.raises(ValueError, match="list of files"):
        ALIGNMENT_OUTPUTS.read(payload)


@pytest.mark.parametrize(
    ("alignment_job", "outputs"),
    [
        (None, None),
        ({"status": "running"}, None),
        ({"status": "completed", "output_files": None}, None),
        ({"status": "completed", "output_files": []}, None),
        ({"status": "completed", "output_files": ["f-1"]}, None),
        ({"status": "completed", "output_files": [{"id": "f-1", "purpose": "fine-tune"}]}, ["f-1"]),
    ],
)
def test_a_data_job_shows_the_outputs_of_its_alignment(alignment_job: Any, outputs: list[str] | None) -> None:
    found = DataJob.read({"status": "completed", "alignment_job": alignment_job}).outputs
    assert (None if found is None else [file["id"] for file in found]) == outputs
