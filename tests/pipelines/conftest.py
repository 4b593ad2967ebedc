from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from datamodules.latents import LatentDataModule
from models.isa_dit import ISADiTConfig
from models.isa_dit.module import ISADiTModule
from models.vae.autoencoder import VAEConfig
from models.vae.losses import LossWeights
from models.vae.module import VAEModule
from pipelines.cache_latents import cache_latents
from tests.shard_factory import small_shards


class SmallI3D(nn.Module):
    """What StyleGAN-V's file can be asked, in a few numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 12, 3, 4)

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        if rescale or resize or not return_features:
            raise RuntimeError("not what FVD asks for")
        return torch.relu(self.conv(x)).mean(dim=[2, 3, 4])


@pytest.fixture(scope="session")
def tracking(tmp_path_factory):
    """A URI of an MLflow store; making its tables takes seconds, so tests share it."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, tracking, monkeypatch):
    """Programs write relative to the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)


@pytest.fixture(scope="session")
def vae_checkpoint(tmp_path_factory):
    """A tiny autoencoder that has learned nothing, in the form a fit saves it."""
    torch.manual_seed(0)
    config = VAEConfig(
        channels=(8, 8), encoder_blocks=1, decoder_blocks=1, latent_channels=4, space_patch=4, time_patch=4,
        space_strides=(2,), time_strides=(1,), norm_groups=4,
    )  # fmt: skip
    module = VAEModule(config, LossWeights(perceptual=0.0, reg=0.0, gan_3d=0.0, gan_2d=0.0))
    checkpoint = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    path = tmp_path_factory.mktemp("vae") / "last.ckpt"
    torch.save(checkpoint, path)
    return path


@pytest.fixture(scope="session")
def people_shards(tmp_path_factory):
    """Six clips of two people and 9 frames: two to fit on, four to test."""
    folder = tmp_path_factory.mktemp("people") / "shards"
    return small_shards(folder, train=2, val=0, test=4, people=2, size=(32, 32))


@pytest.fixture(scope="session")
def people_latents(tmp_path_factory, people_shards, vae_checkpoint, tracking):
    """Their latents, of 5 frames, with pictures of the bodies."""
    out = tmp_path_factory.mktemp("people") / "latents"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", tracking)
        cache_latents(str(people_shards), str(vae_checkpoint), str(out), num_frames=5, references=2, maps=True)
    return out


@pytest.fixture(scope="session")
def make_dit(tmp_path_factory, people_latents):
    """Makes checkpoints of ISA-DiTs that have learned nothing, in the form a fit saves them; not one of their layers is
    zero, so that all conditions reach what they generate."""

    def make(**options: object) -> Path:
        torch.manual_seed(0)
        sizes = {"width": 32, "body_width": 24, "depth": 1, "heads": 2, "body_heads": 2, "num_frequencies": 4}
        module = ISADiTModule(ISADiTConfig(latent_channels=4, **(sizes | options)))  # type: ignore[arg-type]
        with torch.no_grad():
            for parameter in module.averaged.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        data = LatentDataModule(str(people_latents), num_points=12)
        checkpoint = {"state_dict": module.state_dict(), "LatentDataModule": data.state_dict()}
        module.on_save_checkpoint(checkpoint)
        path = tmp_path_factory.mktemp("dit") / "last.ckpt"
        torch.save(checkpoint, path)
        return path

    return make


@pytest.fixture(scope="session")
def small_i3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("i3d") / "i3d_torchscript.pt"
    torch.jit.script(SmallI3D()).save(str(path))
    return path
