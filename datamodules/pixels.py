"""Clips as pixels with reference pictures among their frames: what a fit of the ISA-DiT encodes batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.clips import ClipDataset
from datamodules.references import choose_references
from datamodules.surface import take_body_frames
from models.batch import Batch, BodyBatch, ClipBatch


@dataclass
class PixelBatch(Batch):
    """Clips, and reference pictures of each."""

    clip: ClipBatch
    pictures: Float[Tensor, "B R 3 H W"]
    """Frames of the clip, in [-1, 1]."""
    reference_body: BodyBatch
    """Its frames are the pictures."""
    shown: Bool[Tensor, "B P R"]
    """Which pictures a person is to be looked up in."""


class PixelDataset(Dataset):
    """The clips of a ``ClipDataset`` as batches of one; any frame of a clip may be its reference picture."""

    def __init__(self, clips: ClipDataset, references: int) -> None:
        self.clips, self.references = clips, references

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> PixelBatch:
        clip = self.clips[index]
        people = clip.body.person_mask.shape[1]
        drawn_by = (self.clips.seed, index) if self.clips.training else None
        frames, shown = choose_references(self.clips.num_frames, self.references, people, drawn_by)
        pictures = rearrange(clip.video[:, :, frames], "B C R H W -> B R C H W")
        return PixelBatch(clip, pictures, take_body_frames(clip.body, frames.tolist()), shown[None])
