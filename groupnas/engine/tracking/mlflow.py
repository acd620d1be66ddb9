"""MLflow (extra ``mlflow``)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from groupnas.engine.tracking.tracker import Tracker, leaves, one_line
from groupnas.errors import InputError
from groupnas.extras import install_hint
from groupnas.runs.fields import RECORDS
from groupnas.runs.folder import CONFIG, FOUND, INITIAL, RESULT, RunFolder
from groupnas.saved import Saved, read_saved

if TYPE_CHECKING:
    from mlflow import MlflowClient

RECORD = "mlflow.json"

_EPOCHS = "groupnas.epochs"  # a tag: how many were sent
# MLflow's own limits for parameters; longer values are in the configuration that is uploaded.
_BATCH = 100
_LONGEST = 500


class Told(Saved):
    """``mlflow.json``."""

    run_id: str


class MLflow(Tracker):
    """A run on an MLflow server, or in MLflow's local database.

    MLflow's own variables say where: ``MLFLOW_TRACKING_URI``, and ``MLFLOW_EXPERIMENT_NAME``
    (``groupnas`` where not set). Settings become parameters, and each epoch's numbers metrics;
    configuration, groupings and result are uploaded at the end. The run folder's ``mlflow.json``
    says which run it is: a resumed one is continued there.

    Raises:
        InputError: MLflow is not installed, or its server cannot be reached.
    """

    title = "MLflow"

    def __init__(self) -> None:
        # By default it waits four minutes for a server that is not there.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise InputError(f"MLflow is not installed; {install_hint('mlflow')}") from error
        self.failures = (MlflowException, OSError)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "groupnas"
        try:
            self._client: MlflowClient = MlflowClient()
            found = self._client.get_experiment_by_name(name)
            self._experiment: str = (
                found.experiment_id if found else self._client.create_experiment(name)
            )
        except self.failures as error:
            raise InputError(
                "MLflow cannot be used (MLFLOW_TRACKING_URI says where it is): " + one_line(error)
            ) from error

    def begin(self, folder: RunFolder) -> int:
        self._folder = folder
        known = self._known()
        if known is not None:
            self._client.update_run(known.info.run_id, status="RUNNING")
            self._run: str = known.info.run_id
            return int(known.data.tags.get(_EPOCHS, 0))
        self._run = self._client.create_run(
            self._experiment, run_name=os.path.relpath(folder.path)
        ).info.run_id
        self._send_settings()
        # Last: a run that is found again has its settings.
        folder.write_json(RECORD, {"run_id": self._run})
        return 0

    def send(self, epoch: int, numbers: Mapping[str, float]) -> None:
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        self._client.log_batch(
            self._run,
            metrics=[Metric(name, number, now, epoch) for name, number in numbers.items()],
            tags=[RunTag(_EPOCHS, str(epoch))],
        )

    def end(self, result: Mapping[str, Any] | None) -> None:
        self._client.set_terminated(self._run, "KILLED" if result is None else "FINISHED")
        for name in (CONFIG, INITIAL, FOUND, RESULT) if result is not None else ():
            if os.path.exists(self._folder / name):
                self._client.log_artifact(self._run, os.fspath(self._folder / name))

    def _known(self) -> Any:
        """Return the run that the folder names, if this server has it."""
        from mlflow.exceptions import MlflowException

        if not os.path.exists(self._folder / RECORD):
            return None
        record = read_saved(self._folder / RECORD, Told, "remove it to begin a new MLflow run")
        name = record["run_id"]
        try:
            run = self._client.get_run(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return run if run.info.lifecycle_stage == "active" else None

    def _send_settings(self) -> None:
        from mlflow.entities import Param

        config = self._folder.read_config()
        config.pop(RECORDS, None)  # no setting
        texts = {key: str(value) for key, value in leaves(config)}
        settings = [Param(key, text) for key, text in texts.items() if len(text) <= _LONGEST]
        for first in range(0, len(settings), _BATCH):
            self._client.log_batch(self._run, params=settings[first : first + _BATCH])
