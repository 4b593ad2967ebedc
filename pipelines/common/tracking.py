"""One MLflow run for each fit or evaluation."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.logger import _convert_params, _flatten_dict
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger

DEFAULT_URI = "sqlite:///outputs/mlflow.db"
RUN_FILE = "run.json"


class RunLogger(MLFlowLogger):
    """Lightning's MLflow logger with this project's defaults.

    Args:
        experiment_name: made on first use, marked as model development so that its page opens on the charts.
        run_name: MLflow invents one if it is not given.
        tracking_uri: ``sqlite:///…`` or a server; else ``$MLFLOW_TRACKING_URI``, else ``sqlite:///outputs/mlflow.db``.
        artifact_folder: of a new experiment; by default ``artifacts`` beside the database. A server keeps its own.
        run_id: continue this run.
    """

    def __init__(
        self,
        experiment_name: str = "default",
        run_name: str | None = None,
        tracking_uri: str | None = None,
        artifact_folder: str | None = None,
        run_id: str | None = None,
    ) -> None:
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        database = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
        if database is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
            artifact_folder = artifact_folder or str(database.parent / "artifacts")
        location = None
        if artifact_folder is not None:
            location = (Path(artifact_folder).absolute() / experiment_name).as_uri()
        super().__init__(experiment_name, run_name, uri, artifact_location=location, run_id=run_id)
        self.tracking_uri = uri

    @classmethod
    def resume(cls, checkpoint: str | Path, **options: Any) -> RunLogger:
        """The run that the fit behind a checkpoint logged to; a new one where that is not known."""
        path = Path(checkpoint).parent / RUN_FILE
        if not path.is_file():
            print(f"no {path}: logging to a new MLflow run")
            return cls(**options)
        return cls(**{**options, **json.loads(path.read_text())})

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Parameters of the run. MLflow forbids to change one, so a resumed fit keeps those that it began with."""
        flat = _flatten_dict(_convert_params(params))
        known = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({name: value for name, value in flat.items() if name not in known})

    def mark_experiment(self) -> None:
        """Without this mark MLflow's page opens on its view for language models."""
        self.experiment.set_experiment_tag(self.experiment_id, "mlflow.experimentKind", "custom_model_development")

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a file with the run."""
        self.experiment.log_artifact(self.run_id, str(path), folder or None)


def log_result(
    experiment: str, name: str, settings: Mapping[str, object], metrics: dict[str, float], files: dict[str, list[Path]]
) -> None:
    """One finished run of a program that is no fit: its settings, figures and files (folder of the run → files)."""
    logger = RunLogger(experiment, run_name=name)
    logger.mark_experiment()
    logger.log_hyperparams(dict(settings))
    logger.log_metrics(metrics)
    for folder, paths in files.items():
        for path in paths:
            logger.log_file(path, folder)
    logger.finalize("success")


class RememberRun(Callback):
    """Writes ``run.json`` beside the checkpoints, so that a resumed fit finds its run."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Only rank 0 has a run."""
        if not trainer.is_global_zero or not isinstance(logger := trainer.logger, RunLogger):
            return
        logger.mark_experiment()
        record = {"run_id": logger.run_id, "tracking_uri": logger.tracking_uri}
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath:
                folder = Path(callback.dirpath)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / RUN_FILE).write_text(json.dumps(record) + "\n")
