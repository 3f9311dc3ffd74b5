"""Deploying and undeploying: what has no id of its own, and has to wait its turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeGuard

from airflow_provider_nugen.api.errors import (
    ApiError,
    InvalidInputError,
    NotFoundError,
    ResponseError,
    WrongRouteError,
)
from airflow_provider_nugen.api.job import RUNNING, SUCCEEDED, JobKind
from airflow_provider_nugen.api.nugen import endpoints, jobs, submissions
from airflow_provider_nugen.api.submission import GuardedCall
from airflow_provider_nugen.arguments import seconds
from airflow_provider_nugen.exceptions import (
    NotReadyError,
    PossibleDuplicateJobError,
    ServiceUnreachableError,
    final,
)
from airflow_provider_nugen.operators.base import one_id
from airflow_provider_nugen.operators.identity import TaskIdentity
from airflow_provider_nugen.operators.start import StartOperator
from airflow_provider_nugen.ui import Color

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_nugen.api.nugen.models import TaskStatus


class TurnError(Exception):
    """
    The request has to be sent later, because the model is in between two states.

    The message says how the service said so.
    """


class ModelOperator(StartOperator):
    """
    Deploys or undeploys a model.

    While the model is in between, for example torn down after its automatic evaluation, the service refuses both: then
    the operator asks again every half minute, for ten minutes at the most; meanwhile it waits in the triggerer if
    ``deferrable``.

    :param model_id: the model.
    """

    #: Seconds to wait at the most for the service to take the request.
    turn_timeout = 600.0
    #: Seconds between two requests.
    turn_interval = 30.0

    def __init__(self, *, model_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id

    def request(self, context: Context, model_id: str) -> bool:
        """
        Send the request once.

        :return: whether there is something to wait for.
        :raises TurnError: if the service will take it later.
        """
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Send the request when the service takes it, push the id, and wait if so told."""
        return self.try_again(context, since=time.time())

    def try_again(self, context: Context, event: Any = None, *, since: float) -> Any:
        """
        Send the request again when its turn may have come.

        :param context: the context of the running task.
        :param event: what the trigger yielded.
        :param since: when the first request was sent, in epoch seconds.
        """
        # Wrong, it would end a wait for what is paid for by then.
        seconds(self.poke_interval, "poke_interval")  # type: ignore[arg-type]  # rendered by now
        model_id = one_id(self.model_id, "model_id")
        try:
            with self.session():
                waits = self._take_turn(context, model_id, since)
        except ApiError as e:
            raise self.failed(e) from None
        ids = self.push_xcoms(context, {"model_id": model_id})
        return self.wait(context, model_id) if self.wait_for_completion and waits else ids

    def _take_turn(self, context: Context, model_id: str, since: float) -> bool:
        while True:
            try:
                return self.request(context, model_id)
            except TurnError as e:
                left = since + self.turn_timeout - time.time()
                if left <= 0:
                    raise NotReadyError(
                        f"{e} It has been so for {self.turn_timeout / 60:g} minutes. A retry asks again.",
                        service=self.kind.service.name,
                        conn_id=self.conn_id,
                        job_id=model_id,
                    ) from None
                reason, pause = str(e), min(self.turn_interval, left)
            self.log.info("Asking again in %.0f s: %s", pause, reason)
            self.pause(pause, "try_again", {"since": since}, deferrable=self.deferrable)

    def model_status(self, kind: JobKind[TaskStatus], model_id: str) -> TaskStatus | None:
        """Read the status of a model's deployment or undeployment; ``None`` if there never was one."""
        try:
            return self.hook.read_status(kind, model_id)
        except NotFoundError:
            return None


class DeployOperator(ModelOperator):
    """
    Deploys a model.

    What runs is adopted, whoever has started it; else the request is sent again: a model is deployed or not. But what
    the alignment has deployed for its automatic evaluation is torn down after it, so its end is waited for.

    :param early: deploy the newest checkpoint of a training that still runs.
    """

    kind = jobs.DEPLOYMENT

    def __init__(self, *, early: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(early, bool):
            raise ValueError(f"early must be True or False, not {early!r}")
        self.early = early

    def request(self, context: Context, model_id: str) -> bool:
        """Deploy the model, unless it is deployed."""
        identity, record, arguments = TaskIdentity(context), self.job_record(context), self.arguments_text()
        if record.job_id is not None and record.job_id != model_id and record.has_changed(arguments):
            subject = self.kind.subject(record.job_id)
            if self.on_changed_inputs == "fail":
                raise final(PossibleDuplicateJobError)(
                    f"An earlier try started {subject}, and today's model_id is {model_id!r}: none is started. "
                    "Undeploy the one that is not wanted; then clear the task, or set on_changed_inputs='new'.",
                    service=self.kind.service.name,
                    conn_id=self.conn_id,
                    job_id=record.job_id,
                )
            self.log.warning("An earlier try started %s, which continues and is billed.", subject)
        # One that an earlier try may have requested can be the automatic evaluation's all the same.
        is_own = record.job_id == model_id
        if not identity.is_first_try and self._adopt(model_id):
            if not is_own:
                self._check_that_it_stays(model_id)
            record.record_started(model_id)
            return True
        self.check_not_killed()
        record.record_sending(arguments, None, None)
        try:
            self._send(model_id)
        except ApiError as e:
            if not e.maybe_processed:
                record.record_not_sent()
            self._adopt_despite(e, model_id)
            if not is_own:
                self._check_that_it_stays(model_id)
        record.record_started(model_id)
        return True

    def _send(self, model_id: str) -> None:
        call = endpoints.DEPLOY_MODEL.call(model_id=model_id, early=self.early or None)
        self.hook.request(GuardedCall.of(call, self.check_not_killed))
        self.log.info("Started %s.", self.kind.subject(model_id))

    def _adopt(self, model_id: str) -> bool:
        undeployment = self.model_status(jobs.UNDEPLOYMENT, model_id)
        deployment = self.model_status(jobs.DEPLOYMENT, model_id)
        if deployment is None or not submissions.is_deployed(undeployment, deployment):
            return False
        self.log.info("Continuing with %s, which is there already: %s.", self.kind.subject(model_id), deployment.status)
        return True

    def _check_that_it_stays(self, model_id: str) -> None:
        """
        Check that a deployment, which this task has not requested, is not that of an automatic evaluation.

        :raises TurnError: if it is: the service will tear it down.
        """
        try:
            alignment = self._alignment_of(model_id)
            if alignment is None or not self._is_being_evaluated(alignment):
                return
        except ApiError as e:
            if e.transient:
                raise  # a retry checks again
            self.log.warning(
                "This task did not request the deployment of model %r. Whether the model's alignment did, for its "
                "automatic evaluation, after which the service undeploys the model, is not known: %s If there is a "
                "benchmark, wait for the alignment with wait_for='evaluation' before deploying.",
                model_id,
                e,
            )
            return
        raise TurnError(
            f"Model {model_id!r} is deployed for the automatic evaluation of {jobs.ALIGNMENT.subject(alignment)}, and "
            "will be undeployed after it. Waiting for the alignment with wait_for='evaluation' avoids this."
        )

    def _alignment_of(self, model_id: str) -> str | None:
        """Return the alignment that the model comes from, if it is known."""
        try:
            return self.hook.request(endpoints.MODEL_ALIGNMENT.call(model_id=model_id))
        except InvalidInputError:  # only revision C has it; the list of revision B has the models
            listed = self.hook.request(endpoints.LIST_ALIGNMENTS.call())
            return next((item.alignment_id for item in listed if item.model_id == model_id), None)

    def _is_being_evaluated(self, alignment_id: str) -> bool:
        alignment = self.hook.read_status(jobs.ALIGNMENT, alignment_id)
        if alignment.status.upper() in ("DEPLOYING", "EVALUATING"):
            return True
        # It can say READY all the time.
        if alignment.evaluation_id is None or alignment.status.upper() == "EVALUATED":
            return False
        evaluation = self.hook.read_status(jobs.EVALUATION, alignment.evaluation_id)
        return jobs.EVALUATION.read_status(evaluation).state is RUNNING

    def _adopt_despite(self, error: ApiError, model_id: str) -> None:
        """
        Find out whether the model is deployed although the request failed.

        :raises TurnError: if the request is to be sent later.
        :raises ProviderError: if it is not deployed.
        """
        if error.maybe_processed:
            self.log.warning("It is not known whether the service acted on the request: %s", error)
            for delay in self.lookup_delays[:3]:
                time.sleep(delay)
                if self._adopt(model_id):
                    return
            raise ServiceUnreachableError(
                f"{error} Model {model_id!r} is not deployed, so the service probably did not act on the request. A "
                "retry deploys it unless it is deployed by then.",
                service=self.kind.service.name,
                conn_id=self.conn_id,
                job_id=model_id,
            ) from None
        if not is_refusal(error):
            raise error
        if word := submissions.current_status(error.problem):
            state = None if word in ("UNDEPLOYED", "UNDEPLOYING") else jobs.DEPLOYMENT.state(word)
            if state not in (RUNNING, SUCCEEDED):
                raise TurnError(str(error))
            self.log.info("%s is there already: %s.", self.kind.subject(model_id), word)
        elif submissions.says_deployed(error.problem):
            self.log.info("%s is there already: %s", self.kind.subject(model_id), error.problem)
        elif not self._adopt(model_id):
            if error.status in (400, 409) and not submissions.is_about_deployment(error.problem):
                self._adopt_unexplained(error, model_id)
                return
            raise error

    def _adopt_unexplained(self, error: ResponseError, model_id: str) -> None:
        """
        Adopt a deployment that the service has done before, when nothing says why it refuses another one.

        Revision B keeps the statuses of deployments and undeployments that are long over, and tells by a refusal that
        the model is deployed.

        :raises TurnError: if the model is being undeployed.
        :raises ApiError: if there was no deployment.
        """
        undeployment = self.model_status(jobs.UNDEPLOYMENT, model_id)
        deployment = self.model_status(jobs.DEPLOYMENT, model_id)
        if submissions.is_torn_down(undeployment):
            raise TurnError(f"{error} The model is being undeployed.")
        if deployment is None:
            raise error
        try:
            self._send(model_id)  # the statuses may have changed since
        except ResponseError as e:
            if (
                not is_refusal(e)
                or deployment is None
                or jobs.DEPLOYMENT.read_status(deployment).state is not SUCCEEDED
            ):
                raise
        else:
            return
        self.log.warning(
            "The service refuses to deploy model %r without a reason (%s), and says that its deployment is done: taken "
            "for deployed.",
            model_id,
            error,
        )


class UndeployOperator(ModelOperator):
    """Undeploys a model; one that is undeployed already is a success."""

    ui_color = Color.CLEANING.value

    kind = jobs.UNDEPLOYMENT

    def request(self, context: Context, model_id: str) -> bool:
        """Undeploy the model, unless it is undeployed."""
        try:
            self.hook.request(endpoints.UNDEPLOY_MODEL.call(model_id=model_id))
            return True
        except ApiError as e:
            if not is_refusal(e):
                raise
            refusal = e
        undeployment = self.model_status(jobs.UNDEPLOYMENT, model_id)
        deployment = self.model_status(jobs.DEPLOYMENT, model_id)
        # Other refusals are about the arguments.
        may_be = refusal.status in (400, 409) or (refusal.status == 404 and deployment is not None)
        if submissions.says_undeployed(refusal.problem) or (
            may_be and submissions.is_undeployed(undeployment, deployment)
        ):
            self.log.info("Model %r is undeployed already, or about to be.", model_id)
            # One that never was deployed has nothing to wait for.
            return undeployment is not None
        if isinstance(refusal, NotFoundError) and deployment is None and undeployment is None:
            refusal.hint = (
                f"Model {model_id!r} is not known through this connection, so it costs nothing in its account. Check "
                "the id. If it is deployed in another account, undeploy it through the connection of that account."
            )
        word = submissions.current_status(refusal.problem) or (deployment.status.upper() if deployment else "")
        if refusal.status in (400, 409) and word not in ("", "DEPLOYED", "COMPLETED"):
            raise TurnError(str(refusal))
        raise refusal

    def _cancel(self, *args: Any) -> None:
        """Let it continue: that a model gets undeployed is what ends its costs."""
        self.log.info("%s continues.", self.kind.subject(self._job_id))


def is_refusal(error: ApiError) -> TypeGuard[ResponseError]:
    """Return whether the service refuses the request because of how the model is."""
    if not isinstance(error, ResponseError) or isinstance(error, WrongRouteError):
        return False  # the router knows no models
    return error.status in (400, 404, 409, 422, 423, 425)
