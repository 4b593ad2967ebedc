"""The demo, as short as it can be: every program runs after the other and the files it promises are there."""

import json
import math
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

from pipelines import demo
from pipelines.demo import Clips, real, synthetic
from preprocessing.video import decode_frames
from tests.shard_factory import small_shards


@pytest.mark.slow
def test_from_nothing_to_a_scored_clip(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    synthetic(str(tmp_path / "demo"), workers=1, clips=Clips(train=4, val=1, test=2), vae_steps=2, dit_steps=2)

    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    names = {"seconds", "vae_psnr", "psnr", "ssim", "silhouette_iou", "silhouette_iou_shuffled"}
    assert metrics.keys() == names | {"silhouette_iou_margin_low", "silhouette_iou_margin_high"}
    gained = metrics["silhouette_iou"] - metrics["silhouette_iou_shuffled"]
    assert metrics["silhouette_iou_margin_low"] <= gained <= metrics["silhouette_iou_margin_high"]
    assert all(math.isfinite(value) for value in metrics.values())
    picture = np.asarray(Image.open(tmp_path / "demo" / "result.png"))
    assert picture.std() > 10
    assert len(list((tmp_path / "demo" / "generated").glob("*.mp4"))) == 2

    def prepare(words):  # which is tested by itself
        small_shards(Path(words[words.index("--out") + 1]), 2, 0, 0, people=2, num_frames=13, size=(96, 128))

    monkeypatch.setitem(demo.PROGRAMS, "prepare", prepare)
    real("unused", str(tmp_path / "demo"), str(tmp_path / "real"), vae_steps=2, dit_steps=2)
    assert len(decode_frames((tmp_path / "real" / "generated.mp4").read_bytes())) == 13

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    logged = {experiment.name: experiment.experiment_id for experiment in client.search_experiments()}
    assert {"vae", "latents", "dit", "generate", "evaluate"} <= logged.keys()
    own, shuffled, _ = client.search_runs([logged["generate"]], order_by=["attributes.start_time"])
    assert (own.data.params["shuffle_motion"], shuffled.data.params["shuffle_motion"]) == ("False", "True")
    assert len(client.list_artifacts(own.info.run_id, "samples")) == 2
