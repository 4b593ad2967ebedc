"""Every config parses, and its network can be built (on the meta device: no memory, whatever its size)."""

from pathlib import Path

import jsonargparse
import pytest
import torch

from pipelines.common.fit_cli import FitCLI

CONFIGS = Path(__file__).parents[1] / "configs"


def parse(path: Path, monkeypatch) -> FitCLI:
    """The command line with this config, over the one that it is laid over, stopped before anything is built."""
    from pipelines import fit_dit, fit_dit_from_pixels, fit_vae

    program = {"vae": fit_vae, "dit": fit_dit, "variants": fit_dit}[path.parent.name]
    program = fit_dit_from_pixels if path.stem.endswith("from_pixels") else program
    below = [path.with_name("paper.yaml")] if path.stem == "stage2" else []
    below = [CONFIGS / "dit" / "tiny.yaml"] if path.parent.name == "variants" else below
    parsed = []
    monkeypatch.setattr(FitCLI, "instantiate_classes", lambda cli: parsed.append(cli))
    monkeypatch.setattr(FitCLI, "_run_subcommand", lambda cli, name: None)
    program.main(["fit", *(f"--config={config}" for config in [*below, path])])
    return parsed[0]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("[vd][ai][et]/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_fit_config(path, monkeypatch):
    cli = parse(path, monkeypatch)
    options = cli.config.fit
    if path.parent.name == "vae":
        from models.vae import VAEConfig, VideoVAE

        with torch.device("meta"):
            network = VideoVAE(VAEConfig(**vars(options.model.vae)))
        limits = {"tiny": (0, 1e7), "small": (1.7e7, 2.4e7), "fast": (1e8, 1.1e8), "paper": (2e8, 3e8)}
        limits["stage2"] = limits["paper"]
        if path.stem in ("small", "paper", "stage2"):
            assert options.model.vae.latent_channels == 16
            assert options.data.num_frames == {"small": 17, "paper": 33, "stage2": 97}[path.stem]
    else:
        from models.isa_dit import ISADiT, ISADiTConfig

        with torch.device("meta"):
            network = ISADiT(ISADiTConfig(**vars(options.model.config)))
        limits = dict.fromkeys(("tiny", "tiny_from_pixels", "face", "ablation"), (0, 2e7))
        limits |= {"small": (2e7, 1e8), "base": (3e8, 6e8), "paper_4b": (3.8e9, 4.6e9)}
    low, high = limits[path.stem]
    assert low < sum(p.numel() for p in network.parameters()) < high
    assert options.data.seed == options.model.seed == options.seed_everything


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("dit/variants/*.yaml")), ids=lambda p: p.stem)
def test_variant_of_the_network(path, monkeypatch):
    """Each leaves something out, has about as many parameters, and says what pictures it needs."""
    from models.isa_dit import ISADiT, ISADiTConfig

    options = parse(path, monkeypatch).config.fit
    config, full = ISADiTConfig(**vars(options.model.config)), parse(CONFIGS / "dit" / "tiny.yaml", monkeypatch)
    full = ISADiTConfig(**vars(full.config.fit.model.config))
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in ISADiT(c).parameters()) for c in (config, full)]
    assert config != full
    assert 0.75 < sizes[0] / sizes[1] < 1.25
    assert options.data.maps == (None if config.control == "isa" else config.control)


@pytest.mark.parametrize("name", ["vae", "clips"])
def test_evaluation_config(name):
    from pipelines import evaluate

    parser = jsonargparse.ArgumentParser(parser_mode="omegaconf")
    parser.add_argument("--config", action="config")
    parser.add_function_arguments(getattr(evaluate, f"evaluate_{name}"))
    options = parser.parse_args(["--config", str(CONFIGS / "evaluate" / f"{name}.yaml")])
    assert options.split == "test"
    assert options.out.startswith("outputs/evaluate/")
