"""Fine-tuning models at SeekrFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.errors import NotFoundError
from airflow_provider_nugen.api.seekr import endpoints, jobs, submissions
from airflow_provider_nugen.operators.base import id_list, invalid, one_id, text
from airflow_provider_nugen.operators.scalars import flag, number, whole_number
from airflow_provider_nugen.operators.seekr.base import SeekrOperator, SeekrStartOperator
from airflow_provider_nugen.ui import Color

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_nugen.arguments import ListArg, TextArg

#: Arguments that are fields of ``training_config`` or ``infrastructure_config`` and need not be given.
_OPTIONAL = (
    *("learning_rate", "n_checkpoints", "batch_size", "max_length", "pre_train", "fine_tune_type", "lora_config"),
    *("validation_files", "reward_components", "beta", "loss_type", "gradient_checkpointing", "n_node"),
)
ACCELERATORS = ("GAUDI2", "GAUDI3", "A100", "A10", "H100", "MI300X")
FINE_TUNE_TYPES = ("STANDARD", "PREFERENCE", "REINFORCEMENT")
#: What a file for training is not uploaded for.
_NO_TRAINING = "alignment"


class SeekrCreateFineTuneOperator(SeekrStartOperator):
    """
    Start a fine-tune; wait for it with ``SeekrFineTuneSensor``, or here with ``wait_for_completion``.

    The training files are read before anything is paid for: one that does not exist, or that was uploaded for an
    alignment, is an error that names the argument.

    Without an ``experiment_name`` one fine-tune per try and its retries is guaranteed: the name that is generated finds
    it again after a crash. With a name of your own it is guaranteed on Airflow 3.3 and later, except that the task
    fails and lists the candidates when a crash came between sending and the answer.

    The service tells neither progress nor an estimate: the log says loss and epoch when they change.

    XComs: ``return_value`` and ``fine_tune_id``; with ``wait_for_completion`` those of the sensor. The id is the
    ``model_id`` of ``SeekrCreateDeploymentOperator``.

    :param model: the base model.
    :param training_files: ids of uploaded files with a purpose of training.
    :param project_id: the project (a number).
    :param n_epochs: how many epochs to train.
    :param accel_type: the accelerator, such as ``"GAUDI2"`` or ``"A100"``.
    :param n_accel: how many accelerators.
    :param learning_rate: the learning rate.
    :param n_checkpoints: how many checkpoints to keep.
    :param batch_size: the batch size, 1 to 1024.
    :param max_length: the length of a sequence in tokens.
    :param pre_train: train on plain text.
    :param fine_tune_type: ``"STANDARD"`` (the service's default), ``"PREFERENCE"`` or ``"REINFORCEMENT"``.
    :param lora_config: ``{"r": 8, "alpha": 32, "dropout": 0.1, "bias": "none"}`` or a part of it.
    :param validation_files: ids of uploaded files to validate with.
    :param reward_components: how answers are rewarded, for ``"REINFORCEMENT"``.
    :param beta: for ``"PREFERENCE"``.
    :param loss_type: the loss, by the service's name.
    :param gradient_checkpointing: save memory in exchange for time.
    :param n_node: how many nodes.
    :param experiment_name: what to call the job; default: a name made of DAG, task and run.
    :param description: a description.
    :param training_config_extra: fields of ``training_config`` that are not arguments here.
    :param infrastructure_config_extra: fields of ``infrastructure_config`` that are not arguments here.
    :param seekr_conn_id: the Airflow connection.
    """

    submission = submissions.FINE_TUNE
    template_fields: Sequence[str] = (
        "model",
        "training_files",
        "project_id",
        "n_epochs",
        "accel_type",
        "n_accel",
        "experiment_name",
        "description",
        "training_config_extra",
        "infrastructure_config_extra",
        *_OPTIONAL,
        "seekr_conn_id",
        "poke_interval",
    )

    def __init__(
        self,
        *,
        model: TextArg,
        training_files: ListArg,
        project_id: int | TextArg,
        n_epochs: int | TextArg,
        accel_type: TextArg = "GAUDI2",
        n_accel: int | TextArg = 1,
        n_node: int | TextArg | None = None,
        learning_rate: float | TextArg | None = None,
        n_checkpoints: int | TextArg | None = None,
        batch_size: int | TextArg | None = None,
        max_length: int | TextArg | None = None,
        pre_train: bool | TextArg | None = None,
        fine_tune_type: TextArg | None = None,
        lora_config: Mapping[str, Any] | None = None,
        validation_files: ListArg | None = None,
        reward_components: Mapping[str, Any] | None = None,
        beta: float | TextArg | None = None,
        loss_type: TextArg | None = None,
        gradient_checkpointing: bool | TextArg | None = None,
        experiment_name: TextArg | None = None,
        description: TextArg | None = None,
        training_config_extra: Mapping[str, Any] | None = None,
        infrastructure_config_extra: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.training_files = training_files
        self.project_id = project_id
        self.n_epochs = n_epochs
        self.accel_type = accel_type
        self.n_accel = n_accel
        self.n_node = n_node
        self.learning_rate = learning_rate
        self.n_checkpoints = n_checkpoints
        self.batch_size = batch_size
        self.max_length = max_length
        self.pre_train = pre_train
        self.fine_tune_type = fine_tune_type
        self.lora_config = lora_config
        self.validation_files = validation_files
        self.reward_components = reward_components
        self.beta = beta
        self.loss_type = loss_type
        self.gradient_checkpointing = gradient_checkpointing
        self.experiment_name = experiment_name
        self.description = description
        self.training_config_extra = training_config_extra
        self.infrastructure_config_extra = infrastructure_config_extra

    def inputs(self) -> dict[str, Any]:
        """Return what is submitted."""
        options = {name: getattr(self, name) for name in _OPTIONAL}
        if options["validation_files"] is not None:
            options["validation_files"] = id_list(options["validation_files"], "validation_files")
        for name, most in (("n_checkpoints", None), ("batch_size", 1024), ("max_length", None), ("n_node", None)):
            if options[name] is not None:
                options[name] = whole_number(options[name], name, 1, most)
        for name in ("learning_rate", "beta"):
            if options[name] is not None:
                options[name] = number(options[name], name)
        for name in ("pre_train", "gradient_checkpointing"):
            if options[name] is not None:
                options[name] = flag(options[name], name)
        options["loss_type"] = text(options["loss_type"], "loss_type", optional=True)
        for name in ("lora_config", "reward_components"):
            options[name] = _mapping(options[name], name)
        accel_type, kind = text(self.accel_type, "accel_type"), options["fine_tune_type"]
        for argument, value, allowed in (
            ("accel_type", accel_type, ACCELERATORS),
            ("fine_tune_type", kind, (None, *FINE_TUNE_TYPES)),
        ):
            if value not in allowed:
                raise invalid(f"{argument} is {value!r}; it must be one of {', '.join(filter(None, allowed))}.")
        return {
            "project_id": whole_number(self.project_id, "project_id"),
            "model": text(self.model, "model"),
            "training_files": id_list(self.training_files, "training_files"),
            "n_epochs": whole_number(self.n_epochs, "n_epochs"),
            "accel_type": accel_type,
            "n_accel": whole_number(self.n_accel, "n_accel"),
            "experiment_name": text(self.experiment_name, "experiment_name", optional=True),
            "description": text(self.description, "description", optional=True),
            "training_config_extra": _mapping(self.training_config_extra, "training_config_extra"),
            "infrastructure_config_extra": _mapping(self.infrastructure_config_extra, "infrastructure_config_extra"),
            **options,
        }

    def check_before_paying(self) -> None:
        """Check that the files exist, and what they were uploaded for."""
        inputs = self.inputs()
        for argument in ("training_files", "validation_files"):
            for file_id in inputs.get(argument) or ():
                try:
                    file = self.hook.request(endpoints.FILE.call(file_id=file_id))
                except NotFoundError as e:
                    raise invalid(f"{argument}: there is no file {file_id!r}. {e}") from None
                if file.purpose == _NO_TRAINING:
                    raise invalid(
                        f"{argument}: file {file_id!r} ({file.filename}) was uploaded with the purpose "
                        f"{file.purpose!r}. Upload it for fine-tuning, or take the output of an alignment."
                    )


class SeekrCancelFineTuneOperator(SeekrOperator):
    """
    Cancel a fine-tune. One that is over stays as it is. Its compute can stop a little later.

    XComs: ``return_value`` (the job) and ``fine_tune_id``.

    :param fine_tune_id: the job.
    :param seekr_conn_id: the Airflow connection.
    """

    ui_color = Color.CLEANING.value

    template_fields: Sequence[str] = ("fine_tune_id", "seekr_conn_id")

    def __init__(self, *, fine_tune_id: TextArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fine_tune_id = fine_tune_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Cancel the job."""
        job_id = one_id(self.fine_tune_id, "fine_tune_id")
        job = self.send(endpoints.CANCEL_FINE_TUNE.call(fine_tune_id=job_id))
        self.log.info("%s is %s.", jobs.FINE_TUNE.subject(job_id), job.status)
        self.push_xcoms(context, {"fine_tune_id": job_id})
        return job.model_dump(mode="json")


def _mapping(value: object, argument: str) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise invalid(f"{argument} is {value!r}; it must be a dict.")
    return dict(value)
