"""One cell of the comparison, small: it fits, scores, and is not computed again."""

import json

import pytest
import torch

from benchmarks import vae_quality
from benchmarks.equal_vaes import ENTRANTS, PARAMETERS, build, count
from benchmarks.timed_fit import objective
from tests.shard_factory import small_shards


def never(*_: object) -> None:
    raise AssertionError("computed again")


@pytest.mark.parametrize("name", ENTRANTS)
def test_entrants_are_equal_in_size_and_can_learn(name):
    network = build(name, seed=0)
    assert count(network) == pytest.approx(PARAMETERS, rel=0.05)
    objective(network, torch.rand(1, 3, 5, 32, 32) * 2 - 1, None).backward()
    missing = [weight for weight, value in network.named_parameters() if value.grad is None]
    assert len(missing) < 0.05 * len(list(network.parameters())), missing


def test_a_second_run_does_nothing(tmp_path, monkeypatch, capsys):
    shards = str(small_shards(tmp_path / "shards"))
    sets = [f"--{name}={shards}" for name in ("train", "real", "val", "test")]
    args = ["--entrants", "ours", "ltx", "--budget=0.3", "--tune=0.1", "--rates", "1e-3", "3e-3", "--seeds=1"]
    args += [*sets, "--frames=5", "--window=32", "--workers=0", f"--out={tmp_path / 'docs'}"]
    vae_quality.main(args)
    cells = json.loads((tmp_path / "docs" / "results" / "vae_quality.json").read_text())
    assert len(cells) == 6
    assert all(cell["steps"] > 0 and cell["finite"] and cell["curve"] for cell in cells.values())
    page = (tmp_path / "docs" / "vae_quality.md").read_text()
    assert "| ours | 2.03 | 48 |" in page
    assert "| ltx | 2.06 | 192 |" in page
    assert (tmp_path / "docs" / "vae_quality.png").stat().st_size > 10_000
    monkeypatch.setattr(vae_quality, "fit_cell", never)
    capsys.readouterr()
    vae_quality.main(args)
    assert page == (tmp_path / "docs" / "vae_quality.md").read_text()
    assert capsys.readouterr().out.startswith("| architecture")
