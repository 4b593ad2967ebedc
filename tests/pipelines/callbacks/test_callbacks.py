from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from datamodules.clips import ClipDataModule
from datamodules.latents import LatentDataModule
from models.vae.load import load_vae
from pipelines.callbacks.sample_clips import GenerateClips, ReconstructClips
from tests.shard_factory import small_shards


def test_reconstructions_are_the_decoded_means(tmp_path, vae_checkpoint):
    data = ClipDataModule(str(small_shards(tmp_path / "s", train=0, val=2, test=0)), 5, (32, 32), batch_size=2)
    batch, vae = next(iter(data.val_dataloader())), load_vae(vae_checkpoint)
    truth, shown = ReconstructClips().render(SimpleNamespace(judged=vae), batch)
    torch.testing.assert_close(truth, batch.video)
    torch.testing.assert_close(shown, vae.decode(vae.encode(batch.video).mean))


def test_generated_clips_need_an_autoencoder_to_be_seen():
    trainer, module = Trainer(logger=False, accelerator="cpu", enable_checkpointing=False), LightningModule()
    trainer.datamodule = LatentDataModule("latents")
    with pytest.raises(ValueError, match=r"give data\.vae.*or set samples\.num_clips to 0"):
        GenerateClips().setup(trainer, module, "fit")
    GenerateClips(num_clips=0).setup(trainer, module, "fit")
