"""The benchmark of control, small: a real fit, and every figure of it."""

import json

import pytest

from benchmarks import control
from benchmarks.ablate_dit_data import Data
from pipelines import fit_dit


def test_a_fit_is_measured_and_not_fitted_again(dit_work, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(control, "SAMPLING_STEPS", 2)
    args = ["--steps=2", "--vae-steps=1", f"--work={dit_work}", f"--out={tmp_path / 'docs'}"]
    control.main(args)
    found = json.loads((tmp_path / "docs" / "results" / "control.json").read_text())
    assert {"motion_gain", "camera_gain", "people_gain"} <= found.keys()
    assert found["camera_own_psnr"]["clips"] == 8
    assert (tmp_path / "docs" / "control.png").stat().st_size > 10_000

    monkeypatch.setattr(fit_dit, "main", lambda words: 1 / 0)
    data = Data(dit_work, vae_steps=1)
    assert control.fitted(data, steps=2, background_dropout=0.5).exists()
    with pytest.raises(ZeroDivisionError):  # of other settings there is none yet
        control.fitted(data, steps=2, background_dropout=0.1)
