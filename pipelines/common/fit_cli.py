"""The command line of fits: Lightning's, with an MLflow run as its logger.

Its parser mode is ``omegaconf``: ``${data.size}`` and ``${oc.env:HOME}`` resolve.

A fit resumed by ``--ckpt_path`` goes on in the run it began in: the folder of a checkpoint holds a ``run.json`` that
names it.

A user's mistake ends with one line and status 2.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only

import pipelines.strategies  # noqa: F401 (makes them known by name)
from models.precision import bfloat16_pays
from pipelines.callbacks.checkpoint import Checkpoint
from pipelines.callbacks.guard import FitDiverged, Guard
from pipelines.callbacks.sample_clips import SampleClips
from pipelines.callbacks.throughput import Throughput
from pipelines.common.checkpoint_files import WholeFiles, require_checkpoint
from pipelines.common.cli import mistakes_end_the_program
from pipelines.common.memory import keep_freed_memory
from pipelines.common.tracking import RememberRun, RunLogger

warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # a fit may be a step of another program


class LogConfig(SaveConfigCallback):
    """Logs the resolved configuration: as an artifact (one more each time a fit is resumed) and as parameters."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lightning calls this once, on rank 0."""
        if not isinstance(trainer.logger, RunLogger):
            return
        client, run_id = trainer.logger.experiment, trainer.logger.run_id
        earlier = sum(item.path.startswith("config") for item in client.list_artifacts(run_id))
        name = f"config_resumed_{earlier}.yaml" if earlier else "config.yaml"
        client.log_text(run_id, self.parser.dump(self.config, skip_none=False), name)
        keys = ("model", "data", "seed_everything")
        trainer.logger.log_hyperparams({key: self.config[key] for key in keys if key in self.config})


class FitCLI(LightningCLI):
    """``fit``, ``validate`` and ``test`` of a model on a datamodule.

    Beside ``trainer``, ``model`` and ``data`` the command line has sections for what every fit has once: ``checkpoint``
    (best and last, in one folder), ``samples`` (clips to look at), ``guard`` (when a fit gives up) and ``mlflow`` (the
    run). ``trainer.strategy`` also knows ``zero_1``, ``zero_2`` and ``zero_3``; ``trainer.precision=bf16-mixed`` is
    ``32-true`` where the device has no instructions for bfloat16.

    Args:
        experiment: MLflow experiment that its runs belong to; also names the folder of its checkpoints.
        samples: callback that shows clips.
        watched: logged quantity that tells whether a fit diverges.
        args: command line; None takes the process's.
    """

    def __init__(
        self,
        model: type[LightningModule],
        data: type[LightningDataModule],
        experiment: str,
        samples: type[SampleClips],
        watched: str = "train/loss",
        description: str | None = None,
        args: list[str] | None = None,
    ) -> None:
        keep_freed_memory()
        self.experiment, self.samples, self.watched = experiment, samples, watched
        with mistakes_end_the_program(FitDiverged):
            super().__init__(
                model,
                data,
                args=args,
                seed_everything_default=0,
                trainer_defaults={"default_root_dir": "outputs", "callbacks": [RememberRun(), Throughput()]},
                auto_configure_optimizers=False,
                save_config_callback=LogConfig,
                save_config_kwargs={"save_to_log_dir": False},
                parser_kwargs={"parser_mode": "omegaconf", "allow_abbrev": False, "description": description},
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The sections of their own, and one seed for all."""
        parser.add_lightning_class_args(Checkpoint, "checkpoint")
        parser.add_lightning_class_args(self.samples, "samples")
        parser.add_lightning_class_args(Guard, "guard")
        parser.add_class_arguments(RunLogger, "mlflow", skip={"run_id"}, instantiate=False)
        parser.set_defaults(
            {
                "checkpoint.dirpath": f"outputs/{self.experiment}",
                "checkpoint.filename": "best",
                "checkpoint.save_last": True,
                "checkpoint.enable_version_counter": False,  # last.ckpt is always the last one
                "guard.monitor": self.watched,
                "mlflow.experiment_name": self.experiment,
            }
        )
        parser.link_arguments("seed_everything", "data.seed")
        parser.link_arguments("seed_everything", "model.seed")

    def _parse_ckpt_path(self) -> None:
        """Lightning looks for hyperparameters, which our checkpoints have none of; we look whether there is one."""
        if path := self.config[self.config.subcommand].get("ckpt_path"):
            require_checkpoint(str(path))

    def before_instantiate_classes(self) -> None:
        """bfloat16 where the device computes it, else float32: in the configuration, so that what is logged is true."""
        trainer = self.config[self.config.subcommand].trainer
        device = "cuda" if trainer.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        if trainer.precision in ("bf16-mixed", "bf16") and not bfloat16_pays(torch.device(device)):
            trainer.precision = "32-true"

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, logging to a new MLflow run or, when a fit is resumed, to the one it began in."""
        options = vars(self._get(self.config_init, "mlflow"))
        checkpoint = self._get(self.config_init, "ckpt_path")
        if self._get(self.config_init, "trainer.logger") in (None, True):
            if getattr(
                rank_zero_only, "rank", 0
            ):  # only rank 0 logs; several ranks would race to make the tables of a new store
                kwargs["logger"] = False
            else:
                kwargs["logger"] = RunLogger.resume(checkpoint, **options) if checkpoint else RunLogger(**options)
        trainer = super().instantiate_trainer(**kwargs)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # none that the user chose
            trainer.strategy.checkpoint_io = WholeFiles()
        return trainer
