"""How a fit spreads over devices, beyond Lightning's own strategies. Importing this makes ``zero_1``… known by name."""

from __future__ import annotations

from lightning.pytorch.strategies import StrategyRegistry

from pipelines.strategies.zero import ZeRO

for _stage in (1, 2, 3):
    StrategyRegistry.register(f"zero_{_stage}", ZeRO, f"DeepSpeed ZeRO stage {_stage}, on GPUs or CPUs", stage=_stage)

__all__ = ["ZeRO"]
