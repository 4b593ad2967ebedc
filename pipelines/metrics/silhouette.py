"""Do the people stand where they were told to? Background subtraction against the known masks.

In scenes whose clean background is known (synthetic ones), a pixel belongs to somebody if neither that background nor a
shadow on it explains the pixel. The silhouette so found in a generated video is compared with the true masks. It is an
honest measure of pose only where the generator was given that background and kept it: a wrong background counts as
people, and clothes of the colour of the background or its shadow are missed. Report it beside the same measure of the
true video: nothing generated can be expected to score much higher.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

THRESHOLD = 0.05
"""Of the root mean square over R, G and B in [0, 1]: above what H.264 leaves of a flat wall, about 0.02."""

DARKEST_SHADOW = 0.5
"""A shadow dims the background's colour to this at the least, and keeps its hue. Of true synthetic clips at 64 pixels
the silhouette then meets the mask with an IoU of 0.74; without allowing for shadows, 0.63."""


def silhouette(
    video: Float[Tensor, "B 3 F H W"], background: Float[Tensor, "B 3 F H W"], threshold: float = THRESHOLD
) -> Bool[Tensor, "B F H W"]:
    """Pixels that are no shade of the clean background's colour (Horprasert et al. 1999). Both videos in [-1, 1]."""
    seen, empty = (video.clamp(-1, 1) + 1) / 2, (background + 1) / 2
    brightness = (seen * empty).sum(dim=1) / empty.square().sum(dim=1).clamp(min=1e-3)
    shade = empty * brightness.clamp(DARKEST_SHADOW, 1)[:, None]
    return (seen - shade).square().mean(dim=1).sqrt() > threshold


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
