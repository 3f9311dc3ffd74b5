"""Deploying models at SeekrFlow, and ending that."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.errors import ApiError, NotFoundError, ResponseError
from airflow_provider_nugen.api.seekr import endpoints, jobs, submissions
from airflow_provider_nugen.api.submission import JobList, ListCall, ListedJob, ListReader
from airflow_provider_nugen.arguments import seconds
from airflow_provider_nugen.exceptions import PossibleDuplicateJobError, final
from airflow_provider_nugen.operators.base import invalid, one_id, text
from airflow_provider_nugen.operators.identity import TaskIdentity
from airflow_provider_nugen.operators.scalars import whole_number
from airflow_provider_nugen.operators.seekr.base import SeekrOperator, SeekrStartOperator
from airflow_provider_nugen.operators.start import StartOperator
from airflow_provider_nugen.ui import Color

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_nugen.arguments import TextArg

MODEL_TYPES = ("Fine-tuned Run", "Base Model")
INACTIVE = "INACTIVE"


class SeekrCreateDeploymentOperator(SeekrStartOperator):
    """
    Deploy a model, which costs money until it is demoted; wait for it with ``SeekrDeploymentSensor``, or here with
    ``wait_for_completion``. End it with ``SeekrDemoteDeploymentOperator``.

    Whether the service starts a new deployment by itself is not established: one that stays ``Inactive`` is promoted.

    Without a ``name`` one deployment per try and its retries is guaranteed: the name that is generated finds it again
    after a crash. With a name of your own it is guaranteed on Airflow 3.3 and later, except that the task fails and
    lists the candidates when a crash came between sending and the answer.

    XComs: ``return_value`` and ``deployment_id``; with ``wait_for_completion`` those of the sensor. Ask the model with
    ``SeekrChatCompletionOperator(deployment_id=...)``.

    :param model_id: the id of a fine-tune that is completed, or of a base model.
    :param name: what to call the deployment, 5 to 100 characters; default: a name made of DAG, task and run.
    :param description: a description, 5 to 1000 characters.
    :param model_type: ``"Fine-tuned Run"`` (the default) or ``"Base Model"``.
    :param n_instances: how many instances, 1 to 50.
    :param cancel_on_kill: demote the deployment when a user ends the task while it waits.
    :param seekr_conn_id: the Airflow connection.
    """

    submission = submissions.DEPLOYMENT
    template_fields: Sequence[str] = (
        "model_id",
        "name",
        "description",
        "model_type",
        "n_instances",
        "seekr_conn_id",
        "poke_interval",
    )
    #: Seconds before each poll of a new deployment: after the last one, one that is still inactive is promoted.
    promote_delays: Sequence[float] = (0.0, 3.0, 7.0)

    def __init__(
        self,
        *,
        model_id: TextArg,
        name: TextArg | None = None,
        description: TextArg = "Deployed by Airflow.",
        model_type: TextArg = MODEL_TYPES[0],
        n_instances: int | TextArg = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id
        self.name = name
        self.description = description
        self.model_type = model_type
        self.n_instances = n_instances

    def inputs(self) -> dict[str, Any]:
        """Return what is submitted."""
        name = text(self.name, "name", optional=True)
        description, model_type = text(self.description, "description"), text(self.model_type, "model_type")
        for argument, value, most in (("name", name, 100), ("description", description, 1000)):
            if value is not None and not 5 <= len(value) <= most:
                raise invalid(f"{argument} is {value!r}; it must have 5 to {most} characters.")
        if model_type not in MODEL_TYPES:
            raise invalid(f"model_type is {model_type!r}; it must be one of {', '.join(MODEL_TYPES)}.")
        return {
            "model_type": model_type,
            "model_id": one_id(self.model_id, "model_id"),
            "name": name,
            "description": description,
            "n_instances": whole_number(self.n_instances, "n_instances", 1, 50),
        }

    def extra_xcoms(self) -> dict[str, Any]:
        """Push the model's id, too."""
        return {"model_id": one_id(self.model_id, "model_id")}

    def start(self, context: Context) -> str:
        """Create the deployment or adopt it, and see that it starts; see :meth:`.StartOperator.start`."""
        deployment_id = super().start(context)
        self.push_xcoms(context, {"deployment_id": deployment_id})
        # From here on there is something that costs money, and that ends with the task if a user ends the task.
        self._job_id = deployment_id
        self._get_ready_to_kill(self.kind, deployment_id)
        with self.session():
            try:
                self._promote(deployment_id)
            except ApiError as e:
                raise self.failed(e) from None
        return deployment_id

    def _promote(self, deployment_id: str) -> None:
        for delay in self.promote_delays:
            time.sleep(delay)
            try:
                if not self._is_inactive(deployment_id):
                    return
            except NotFoundError:
                continue  # a fresh id is not visible everywhere at once
        self.check_not_killed()
        self.log.info("%s is inactive: promoting it.", self.kind.subject(deployment_id))
        try:
            self.hook.request(endpoints.PROMOTE_DEPLOYMENT.call(deployment_id=deployment_id))
        except ResponseError:
            # It may have started meanwhile: then there is nothing to promote.
            if self._is_inactive(deployment_id):
                raise

    def _is_inactive(self, deployment_id: str) -> bool:
        deployment = self.hook.request(endpoints.DEPLOYMENT.call(deployment_id=deployment_id))
        return deployment.status.upper() == INACTIVE


class SeekrDemoteDeploymentOperator(SeekrOperator, StartOperator):
    """
    Demote a deployment, which ends its costs. One that is inactive already is a success.

    So it is safe to run the task again. By default the task waits until the deployment is inactive.

    XComs: ``return_value`` and ``deployment_id``.

    :param deployment_id: the deployment, as ``SeekrCreateDeploymentOperator`` returned it.
    :param created_by: instead of it, the id of the task of this run that created the deployment by
        ``SeekrCreateDeploymentOperator`` without a ``name``: what it has created is demoted also if that task died
        before it knew the id, since it is found by its generated name. If there is nothing, that is a success.
    :param wait_for_completion: wait until it is inactive.
    :param seekr_conn_id: the Airflow connection.
    """

    ui_color = Color.CLEANING.value

    kind = jobs.DEMOTION
    template_fields: Sequence[str] = ("deployment_id", "created_by", "seekr_conn_id", "poke_interval")

    def __init__(
        self,
        *,
        deployment_id: TextArg | None = None,
        created_by: str | None = None,
        wait_for_completion: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(wait_for_completion=wait_for_completion, **kwargs)
        self.deployment_id = deployment_id
        self.created_by = created_by
        if (deployment_id is None) == (created_by is None):
            raise ValueError("pass either deployment_id or created_by")

    def execute(self, context: Context) -> Any:
        """Demote the deployment, and wait until it is inactive if so told."""
        seconds(self.poke_interval, "poke_interval")  # type: ignore[arg-type]  # rendered by now
        with self.session():
            try:
                ids = self._deployments(context)
                for deployment_id in ids:
                    self._demote(deployment_id)
            except ApiError as e:
                raise self.failed(e) from None
        if not ids:
            self.log.info("Task %r has created no deployment: there is nothing to demote.", self.created_by)
            return {}
        job_id: str | list[str] = ids[0] if len(ids) == 1 else ids
        pushed = self.push_xcoms(context, {"deployment_id": job_id})
        return self.wait(context, job_id) if self.wait_for_completion else pushed

    def _demote(self, deployment_id: str) -> None:
        try:
            deployment = self.hook.request(endpoints.DEMOTE_DEPLOYMENT.call(deployment_id=deployment_id))
        except ResponseError as refusal:
            deployment = self.hook.request(endpoints.DEPLOYMENT.call(deployment_id=deployment_id))
            if deployment.status.upper() != INACTIVE:
                raise refusal from None
            self.log.info("Deployment %r is inactive already.", deployment_id)
        else:
            self.log.info("Demoted deployment %r: %s.", deployment_id, deployment.status)

    # What another task has created.

    def _deployments(self, context: Context) -> list[str]:
        """Return which deployments to demote."""
        if self.created_by is None:
            return [one_id(self.deployment_id, "deployment_id")]
        ti, created_by = context["ti"], self.created_by
        pushed = ti.xcom_pull(task_ids=created_by, key="deployment_id", map_indexes=ti.map_index)
        known = [pushed] if isinstance(pushed, str) else []
        if not known and _never_ran(context, created_by):
            return []
        key, found = TaskIdentity(context, task_id=created_by).task_key, JobList()
        nameless: list[ListedJob] = []
        for delay in (0.0,) if known else self.lookup_delays:
            time.sleep(delay)
            try:
                found = self._listed()
            except ApiError as e:
                if not known:
                    raise
                self.log.warning("What else task %r may have created is not known: %s", self.created_by, e)
                return known
            standing = [job for job in found.jobs if not job.read_status(jobs.DEPLOYMENT).is_terminal_failure]
            own = [job.job_id for job in standing if key in (job.name or "").lower()]
            if ids := list(dict.fromkeys([*known, *own])):
                return ids
            nameless = [job for job in standing if not job.name]
        if found.incomplete or nameless:
            doubt = found.incomplete or "it hides names"
            raise final(PossibleDuplicateJobError)(
                f"Task {self.created_by!r} may have created a deployment, which may be billed. The list of deployments "
                f"does not tell, since {doubt}. These have no name: {', '.join(map(str, nameless)) or 'none'}. Search "
                "for it in SeekrFlow, and demote it there.",
                service=self.hook.service.name,
                conn_id=self.conn_id,
            )
        return []

    def _listed(self) -> JobList:
        reader = ListReader(submissions.DEPLOYMENT)
        while (offset := reader.next_offset) is not None:
            call = endpoints.LIST_DEPLOYMENTS.call(limit=submissions.DEPLOYMENT.page, offset=offset)
            reader.add(self.hook.request(ListCall.of(call)))
        return reader.result()

    def _cancel(self, *args: Any) -> None:
        """Let it continue: that a deployment is demoted is what ends its costs."""
        self.log.info("%s continues.", self.kind.subject(self._job_id))


def _never_ran(context: Context, task_id: str) -> bool:
    """Return whether a task of this run was left out, so that it cannot have sent anything."""
    ti = context["ti"]
    states = ti.get_task_states(ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id]).get(ti.run_id, {})
    return bool(states) and set(states.values()) <= {"skipped", "upstream_failed", "removed"}
