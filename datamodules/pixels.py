"""Clips as pixels with reference pictures of other moments: what a fit of the ISA-DiT encodes batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.clips import ClipDataset
from datamodules.references import choose_references
from models.batch import Batch, BodyBatch, ClipBatch, from_levels


@dataclass
class PixelBatch(Batch):
    """Clips, and reference pictures of each."""

    clip: ClipBatch
    picture_levels: UInt8[Tensor, "B R 3 H W"]
    reference_body: BodyBatch
    """Its frames are the pictures."""
    shown: Bool[Tensor, "B P R"]
    """Which pictures a person is to be looked up in."""

    @property
    def pictures(self) -> Float[Tensor, "B R 3 H W"]:
        """In [-1, 1], in the precision of the clip's."""
        return from_levels(self.picture_levels).to(self.clip.fps.dtype)


class PixelDataset(Dataset):
    """The windows of a ``ClipDataset`` as batches of one, with reference pictures of any moment of the whole clip in
    which everyone was found. What is done to a window to augment it is not done to those."""

    def __init__(self, clips: ClipDataset, references: int) -> None:
        self.clips, self.references = clips, references

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> PixelBatch:
        clips, clip, row = self.clips, self.clips[index], self.clips.row_at(index)
        candidates, people = clips.bodies(row).frames_with_everyone(), clip.body.person_mask.shape[1]
        drawn_by = (clips.seed, index) if clips.training else None
        chosen, shown = choose_references(len(candidates), self.references, people, drawn_by)
        stills = clips.frames_of(row, candidates[chosen])
        levels = rearrange(stills.video_levels, "B C R H W -> B R C H W")
        return PixelBatch(clip, levels, stills.body, shown[None])
