"""Do the people stand where they were told to? Background subtraction against the known masks.

In scenes whose clean background is known (synthetic ones), a pixel belongs to somebody if it differs from that
background. The silhouette so found in a generated video is compared with the true masks. It is an honest measure of
pose only where the generator was given that background and kept it: a wrong background counts as people, and so do
shadows darker than the threshold, while clothes of the background's colour are missed. Report it beside the same
measure of the true video: nothing generated can be expected to score higher.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

THRESHOLD = 0.15
"""Of the largest difference among R, G and B in [-1, 1]: above H.264's noise, which is about 0.05."""


def silhouette(
    video: Float[Tensor, "B 3 F H W"], background: Float[Tensor, "B 3 F H W"], threshold: float = THRESHOLD
) -> Bool[Tensor, "B F H W"]:
    """Pixels that differ from the clean background."""
    return (video.clamp(-1, 1) - background).abs().amax(dim=1) > threshold


def iou(found: Bool[Tensor, "B F H W"], people: Bool[Tensor, "B F H W"]) -> Float[Tensor, " B"]:
    """Intersection over union over all frames of a clip; 1 where neither shows anybody."""
    both = (found & people).sum(dim=(1, 2, 3)).float()
    either = (found | people).sum(dim=(1, 2, 3))
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def silhouette_iou(
    video: Float[Tensor, "B 3 F H W"],
    background: Float[Tensor, "B 3 F H W"],
    masks: Bool[Tensor, "B P F H W"],
    threshold: float = THRESHOLD,
) -> Float[Tensor, " B"]:
    """``iou`` of the video's silhouette with the masks of all people together."""
    return iou(silhouette(video, background, threshold), masks.any(dim=1))
