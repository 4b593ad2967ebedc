"""The ablation of what tells the video about bodies, small: real fits, every measure, and nothing is done twice."""

import json

import pytest

from benchmarks import ablate_dit, ablate_dit_cell
from models.isa_dit.module import VALIDATION_TIMES


def never(*_: object) -> None:
    raise AssertionError("computed again")


def test_a_second_run_does_nothing(dit_work, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ablate_dit, "RATES", (1.0,))
    monkeypatch.setattr(ablate_dit_cell, "SAMPLING_STEPS", 2)
    tracked = []
    monkeypatch.setattr(ablate_dit, "track", lambda rows, rates, setup, out: tracked.append(rows))
    args = ["--variants", "full", "2D normals", "--steps=2", "--tuning-steps=1", "--vae-steps=1", "--seeds=1"]
    args += ["--bodies", "noisy", "--workers=0", f"--work={dit_work}", f"--out={tmp_path / 'docs'}"]
    ablate_dit.main(args)
    path = tmp_path / "docs" / "results" / "dit_ablation.json"
    cells = json.loads(path.read_text())
    assert len(cells) == 2 + 2
    for name, cell in cells.items():
        assert cell["gap"] == pytest.approx(cell["shuffled_loss"] - cell["loss"])
        assert cell["loss"] == pytest.approx(sum(cell[f"loss_t_{t}"] for t in VALIDATION_TIMES) / 4)
        tuning = "exact" in name
        judged = {f"{name}_people_psnr" for name in ("video", "camera", "mask", "multi")}
        assert judged.isdisjoint(cell) if tuning else judged <= cell.keys()
        assert cell["steps"] >= (1 if tuning else 2)  # no variant costs more than the full network
    page = (tmp_path / "docs" / "dit_ablation.md").read_text()
    assert "| noisy | 2D normals |" in page
    assert (tmp_path / "docs" / "dit_ablation.png").stat().st_size > 10_000
    monkeypatch.setattr(ablate_dit, "dit_cell", never)
    capsys.readouterr()
    ablate_dit.main(args)
    assert tracked[0] == tracked[1]
    assert capsys.readouterr().out.startswith("| bodies")
    with pytest.raises(ValueError, match="made by recipe"):
        ablate_dit.main([*args, "--vae-steps=2"])
    with pytest.raises(ValueError, match="does not say how"):
        ablate_dit.main([*args, f"--work={tmp_path}"])
