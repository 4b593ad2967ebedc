"""A file as SAM 2 is downloaded, of its smallest network, with weights as they are initialised."""

from pathlib import Path

import torch

from preprocessing.annotators.sam2_masks import build_predictor


def write_sam2(folder: Path, image_size: int) -> str:
    """Its path."""
    torch.manual_seed(0)
    path = folder / "sam2.1_hiera_tiny.pt"
    torch.save({"model": build_predictor("configs/sam2.1/sam2.1_hiera_t.yaml", image_size).state_dict()}, path)
    return str(path)
