"""The terms of Eq. 1–2.

::

    L = λ_L1 L_L1 + λ_p L_p + λ_KL L_KL + λ_reg L_reg + λ_3DGAN L_3DGAN + λ_2DGAN L_2DGAN

The KL divergence is ``Gaussian.kl``. The paper gives no weights: the defaults are HunyuanVideo's, but for λ_reg,
which HunyuanVideo has no term for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torchmetrics.functional.image.lpips import _LPIPS

from models.files.weight_files import load_tensors
from models.timeline import group_by_latent

VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
ALEXNET_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"


@dataclass(frozen=True)
class LossWeights:
    """λ of each term; 0 leaves a term, and the network that it needs, out."""

    l1: float = 1.0
    perceptual: float = 0.1
    kl: float = 1e-6
    """Of nats averaged over the entries of the latents."""
    reg: float = 0.1
    gan_3d: float = 0.05
    gan_2d: float = 0.05


def frame_loss(frames: Float[Tensor, "B f 4 3 H W"], video: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, ""]:
    """L_reg: mean absolute error of the frames that the sub-latents decode, each on its own (Sec. 4.2)."""
    return F.l1_loss(frames, group_by_latent(rearrange(video, "B C F H W -> B F C H W")))


def hinge_generator(fake: Float[Tensor, "*patches"]) -> Float[Tensor, ""]:
    """Low where the discriminator's logits of generated patches are high."""
    return -fake.mean()


def hinge_discriminator(real: Float[Tensor, "*patches"], fake: Float[Tensor, "*patches"]) -> Float[Tensor, ""]:
    """Zero once real patches score above 1 and generated ones below −1."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def adversarial_terms(
    discriminator: nn.Module, video: Float[Tensor, "B 3 F H W"], reconstruction: Float[Tensor, "B 3 F H W"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The generator's and the discriminator's hinge terms, with gradients to that side alone."""
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    generator_term = hinge_generator(functional_call(discriminator, frozen, (reconstruction,)))
    real, fake = discriminator(torch.cat([video, reconstruction.detach()])).chunk(2)
    return generator_term, hinge_discriminator(real, fake)


class PerceptualLoss(nn.Module):
    """L_p: LPIPS averaged over frames.

    Args:
        weights: ImageNet weights of torchvision's VGG-16 (``vgg16-397923af.pth``), which Eq. 1 means, or of its AlexNet
            (``alexnet-owt-7be5be79.pth``): the file says which. The linear layers on top come with torchmetrics.

    Attributes:
        backbone: ``vgg`` or ``alex``. Figures of the two do not compare.

    Raises:
        ValueError: if the file is not there, cannot be read, or holds another network.
    """

    def __init__(self, weights: str | Path) -> None:
        super().__init__()
        if not Path(weights).is_file():
            raise ValueError(
                f"no VGG-16 weights at {weights}: download them from {VGG16_URL}, or AlexNet's from {ALEXNET_URL}"
            )
        given = load_tensors(Path(weights))
        self.backbone: Literal["vgg", "alex"] = _backbone_of(given, weights)
        # pnet_rand: it must not download its backbone
        self.net = _LPIPS(pretrained=True, net=self.backbone, pnet_rand=True)
        for key, value in self.net.net.state_dict().items():
            value.copy_(given[f"features.{key.split('.', 1)[1]}"])  # "slice1.0.weight" of "features.0.weight"
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> PerceptualLoss:
        """Stays in evaluation mode: a measure must not drop units out."""
        return super().train(False)

    def forward(self, video: Float[Tensor, "B 3 F H W"], target: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, ""]:
        """LPIPS of videos in [-1, 1], averaged over their frames."""
        frames = (rearrange(x, "B C F H W -> (B F) C H W") for x in (video, target))
        return self.net(*frames).mean()


def _backbone_of(given: dict[str, Tensor], weights: str | Path) -> Literal["vgg", "alex"]:
    """Which network a file holds, by its first and last convolutions; raises ``ValueError`` for any other."""
    shapes = {key: tuple(value.shape) for key, value in given.items() if isinstance(value, Tensor)}
    if shapes.get("features.0.weight") == (64, 3, 3, 3) and shapes.get("features.28.weight") == (512, 512, 3, 3):
        return "vgg"
    if shapes.get("features.0.weight") == (64, 3, 11, 11) and shapes.get("features.10.weight") == (256, 256, 3, 3):
        return "alex"
    raise ValueError(f"{weights} is no VGG-16 of torchvision, nor its AlexNet: see {VGG16_URL} and {ALEXNET_URL}")
