"""ISA-DiT (Sec. 5): a diffusion transformer whose video tokens and body tokens attend to each other in space."""

from models.isa_dit.config import ISADiTConfig
from models.isa_dit.transformer import ISADiT

__all__ = ["ISADiT", "ISADiTConfig"]
