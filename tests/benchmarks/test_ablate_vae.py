"""One cell of the ablation, small: the real fit program runs, every measure is taken, and nothing is done twice."""

import json

import pytest

from benchmarks import ablate_vae, ablation_cell
from models.vae import VAEConfig, VideoVAE
from tests.shard_factory import small_shards


def never(*_: object) -> None:
    raise AssertionError("computed again")


def test_a_second_run_does_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ablation_cell, "LATENT_WINDOWS", 8)
    tracked = []
    monkeypatch.setattr(ablate_vae, "track", lambda rows, setup, out: tracked.append(rows))
    shards = str(small_shards(tmp_path / "shards", num_frames=17))
    sets = [f"--{name}={shards}" for name in ("train", "real", "test")]
    args = ["--variants", "full", "no augmentation", "--steps=2", "--denoiser-steps=2", "--image-steps=2", "--seeds=1"]
    args += [*sets, "--window=32", "--size", "40", "64", "--workers=0"]
    args += [f"--weights={tmp_path / 'image.safetensors'}", f"--out={tmp_path / 'docs'}"]
    ablate_vae.main(args)
    cells = json.loads((tmp_path / "docs" / "results" / "vae_ablation.json").read_text())
    assert len(cells) == 2
    for cell in cells.values():
        assert sum(cell["information_by_place"]) == pytest.approx(1)
        assert {"real_moving_psnr", "synthetic_fast_ssim", "flow_loss", "wasserstein"} <= cell.keys()
    page = (tmp_path / "docs" / "vae_ablation.md").read_text()
    assert "| no augmentation |" in page
    assert (tmp_path / "docs" / "vae_ablation.png").stat().st_size > 10_000
    monkeypatch.setattr(ablate_vae, "vae_cell", never)
    monkeypatch.setattr(ablate_vae, "fit_image_vae", never)
    capsys.readouterr()
    ablate_vae.main(args)
    assert page == (tmp_path / "docs" / "vae_ablation.md").read_text()
    assert capsys.readouterr().out.startswith("| training")
    assert tracked[0] == tracked[1]


def test_the_inflated_network_strides_over_time():
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in ablation_cell.VIDEO_VAE.items()}
    config = VideoVAE(VAEConfig(**options)).config
    assert (config.time_patch, config.time_strides) == (1, (2, 2))
