"""ZeRO by DeepSpeed, as ``trainer.strategy: zero_1``, ``zero_2`` or ``zero_3``.

Lightning's strategy with six differences: it also runs on CPUs, so that tests run what a cluster does; under
``bf16-mixed`` weights and optimizer stay float32 and operations run in bfloat16, as under DDP, where Lightning's casts
weights and videos to bfloat16; micro-batches give the mean of their gradients, where Lightning's divides by their
number twice; every weight is cut up under ZeRO-3, small ones too, or their averages would be updated in one copy and
read from another; a checkpoint is whole or not there; and it says what to do with a file given as one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.seed import reset_seed
from lightning.pytorch.plugins import DeepSpeedPrecision
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy
from torch import Tensor, nn

from models.files.checkpoint import beside, find_folder
from pipelines.common.checkpoint_files import put_folder


class ZeRO(DeepSpeedStrategy):
    """DeepSpeed's ZeRO with stage 1 (optimizer state spread over the ranks), 2 (gradients too) or 3 (weights too).

    Args:
        stage: 1, 2 or 3.
        options: of ``DeepSpeedStrategy``.

    Raises:
        ValueError: for another stage, or at the start of a fit of a module that stage 3 cannot cut up.
    """

    def __init__(self, stage: int = 2, **options: Any) -> None:
        if stage not in (1, 2, 3):
            raise ValueError(f"stage is 1, 2 or 3, not {stage}")
        if not torch.cuda.is_available():
            os.environ["DS_ACCELERATOR"] = "cpu"  # read when deepspeed is first imported, which super() does
        super().__init__(stage=stage, **options)

    @property
    def root_device(self) -> torch.device:
        """DeepSpeed wants an index, which Lightning leaves out for CPUs."""
        device = super().root_device
        return torch.device("cpu", self.local_rank) if device.type == "cpu" else device

    def setup_environment(self) -> None:
        """Lightning's, less its refusal of CPUs."""
        if self.precision_plugin.precision == "bf16-mixed":
            self.precision_plugin = AutocastPrecision("bf16-mixed")
        if super().root_device.type != "cpu":
            super().setup_environment()
            return
        import deepspeed

        # gloo does; DeepSpeed's own collectives for CPUs would first be compiled, for minutes
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        super(DDPStrategy, self).setup_environment()
        reset_seed()
        self.set_world_ranks()
        self._process_group_backend = "gloo"
        self._init_deepspeed_distributed()

    def _setup_model_and_optimizer(self, model: nn.Module, *args: Any) -> Any:
        if self.zero_stage_3 and not getattr(self.lightning_module, "can_be_cut_up", False):
            raise ValueError(
                f"{type(self.lightning_module).__name__} uses weights outside of the modules that hold them, which "
                f"ZeRO-3 cuts up: set trainer.strategy to zero_2"
            )
        for parameter in model.parameters():  # DeepSpeed broadcasts their bytes, so no transposed or channels-last ones
            parameter.data = parameter.data.contiguous()
        return super()._setup_model_and_optimizer(model, *args)

    def _format_config(self) -> None:
        super()._format_config()
        assert isinstance(self.config, dict)
        if self.zero_stage_3:
            self.config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        if isinstance(self.precision_plugin, AutocastPrecision):
            self.config.pop("bf16", None)
            # no "safe" modules: theirs are the gradients that would travel in bfloat16
            self.config["torch_autocast"] = {
                "enabled": True,
                "dtype": "bfloat16",
                "lower_precision_safe_modules": [],
            }

    def backward(self, closure_loss: Tensor, optimizer: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Lightning has divided the loss by the number of micro-batches already, so the engine must not."""
        return super().backward(closure_loss, optimizer, *args, scale_wrt_gas=False, **kwargs)

    def save_checkpoint(self, checkpoint: dict, filepath: Any, storage_options: Any = None) -> None:
        """All ranks write into a folder that then takes the name ``filepath``."""
        path = Path(self.broadcast(filepath))
        partial = beside(path, "partial")
        if self.is_global_zero:
            shutil.rmtree(partial, ignore_errors=True)
        self.barrier()
        super().save_checkpoint(checkpoint, partial, storage_options)
        self.barrier()
        if self.is_global_zero:
            put_folder(partial, path)
        self.barrier()

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Raises ``ValueError`` for a file."""
        path = find_folder(Path(checkpoint_path))
        if path.is_file():
            raise ValueError(
                f"{path} is the file of a fit without ZeRO, which cannot be resumed under it: go on with "
                f"--trainer.strategy ddp, or start a new fit from its weights with --model.init_from {path}"
            )
        return super().load_checkpoint(path, weights_only)


class AutocastPrecision(DeepSpeedPrecision):
    """Leaves inputs as they are: autocast decides for each operation."""

    def convert_input(self, data: Any) -> Any:
        """The same."""
        return data
