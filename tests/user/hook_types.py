"""What a type checker sees of the hooks' methods; checked with the rest of the project, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from airflow_provider_nugen.api.nugen.models import AlignmentStatus, CreateAlignmentResponse, ListedEvaluation
from airflow_provider_nugen.api.seekr.models import Deployment, File
from airflow_provider_nugen.hooks.nugen import NugenHook
from airflow_provider_nugen.hooks.seekr import SeekrHook


async def user_code(nugen: NugenHook, seekr: SeekrHook) -> None:
    """Call methods as a user does."""
    assert_type(nugen.get_alignment_status("a-1"), AlignmentStatus)
    assert_type(await nugen.aget_alignment_status(alignment_id="a-1"), AlignmentStatus)
    assert_type(nugen.create_alignment(name="n", base_model="b", document_ids=["d"]), CreateAlignmentResponse)
    assert_type(nugen.iter_evaluations(model_id="m-1"), Iterator[ListedEvaluation])
    assert_type(nugen.aiter_evaluations(), AsyncIterator[ListedEvaluation])
    assert_type(seekr.demote_deployment("d-1"), Deployment)
    assert_type([file async for file in seekr.aiter_files(purpose="fine-tune")], list[File])
    # A mistake is one: mypy complains if it does not have to be ignored.
    nugen.get_alignment_status(1)  # type: ignore[arg-type]
    nugen.get_alignment_status()  # type: ignore[call-arg]
    nugen.create_alignment(name="n", base_model="b", documents=["d"])  # type: ignore[call-arg]
    await seekr.aget_deployment(id="d-1")  # type: ignore[call-arg]
