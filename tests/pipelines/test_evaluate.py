import csv
import json

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from datamodules.clips import ClipDataModule
from models.vae.module import load_vae
from pipelines.cli import run
from pipelines.evaluate import bootstrap, evaluate_clips, evaluate_vae
from pipelines.metrics.image import psnr
from preprocessing.video import write_video
from tests.shard_factory import make_sample, small_shards, write_shards


def test_vae_results_are_written_and_logged(tmp_path, tracking, vae_checkpoint):
    shards = str(small_shards(tmp_path / "s", train=0, val=0, test=3))
    out = tmp_path / "scores"
    evaluate_vae(str(vae_checkpoint), shards, str(out), num_frames=5, size=(32, 32), samples=2)

    vae, expected = load_vae(vae_checkpoint), {}
    for batch in ClipDataModule(shards, 5, (32, 32), batch_size=1).test_dataloader():
        expected[batch.keys[0]] = psnr(vae.decode(vae.encode(batch.video).mean), batch.video).item()
    with (out / "clips.csv").open() as file:
        rows = {row["key"]: float(row["psnr"]) for row in csv.DictReader(file)}
    assert rows == pytest.approx(expected, rel=1e-5)
    metrics = json.loads((out / "metrics.json").read_text())["metrics"]
    assert metrics["psnr"]["mean"] == pytest.approx(np.mean(list(expected.values())))
    assert metrics["psnr"]["clips"] == 3
    assert metrics["silhouette_iou_of_truth"]["mean"] > 0.7  # H.264 blurs the rims of small discs
    assert (out / "report.html").read_text().count("data:video/mp4;base64,") == 2

    client = MlflowClient(tracking)
    experiment = client.get_experiment_by_name("evaluate")
    logged = next(r for r in client.search_runs([experiment.experiment_id]) if r.info.run_name == "scores")
    assert logged.data.metrics["psnr"] == pytest.approx(metrics["psnr"]["mean"])
    assert {"clips.csv", "report.html", "clips"} <= {a.path for a in client.list_artifacts(logged.info.run_id)}


def test_the_truth_scores_as_the_truth_and_another_clip_does_not(tmp_path):
    samples = [make_sample(i) for i in range(2)]
    shards = str(write_shards(tmp_path / "s", [("test", s) for s in samples]))
    for i, sample in enumerate(samples):
        write_video(tmp_path / "right" / f"{sample.key}.mp4", sample.video, 8.0)
        write_video(tmp_path / "wrong" / f"{sample.key}.mp4", samples[1 - i].video, 8.0)
    means = {}
    for name in ("right", "wrong"):
        evaluate_clips(str(tmp_path / name), shards, str(tmp_path / f"out_{name}"), samples=0)
        results = json.loads((tmp_path / f"out_{name}" / "metrics.json").read_text())["metrics"]
        means[name] = {measure: values["mean"] for measure, values in results.items()}
    assert means["right"]["psnr"] == 100  # the same encoder wrote both
    assert means["right"]["ssim"] == pytest.approx(1)
    assert means["right"]["silhouette_iou"] == means["right"]["silhouette_iou_of_truth"]
    assert means["wrong"]["psnr"] < 30
    assert means["wrong"]["silhouette_iou"] < 0.7 * means["right"]["silhouette_iou"]


def test_bootstrap_interval_covers_the_mean_and_shrinks_as_the_root_of_n():
    rng = np.random.default_rng(0)
    few, many = rng.normal(5, 1, 25), rng.normal(5, 1, 400)
    widths = []
    for values in (few, many):
        result = bootstrap(values.tolist())
        assert result["low"] < result["mean"] < result["high"]
        widths.append(result["high"] - result["low"])
    assert widths[0] == pytest.approx(2 * 1.96 * few.std() / 5, rel=0.15)
    assert widths[1] == pytest.approx(2 * 1.96 * many.std() / 20, rel=0.15)


def test_mistakes_are_one_line(tmp_path, capsys):
    shards = str(small_shards(tmp_path / "s", train=1, val=0, test=1))
    (tmp_path / "g").mkdir()
    options = ["--generated", str(tmp_path / "g"), "--truth", shards, "--out", str(tmp_path / "o")]
    programs = {"vae": evaluate_vae, "clips": evaluate_clips}
    for expected in (r"no {key}.mp4 in", "1 of 1 clips are not in split 'test'"):
        with pytest.raises(SystemExit) as stop:
            run(programs, ["clips", *options])
        assert stop.value.code == 2
        assert expected in capsys.readouterr().err.strip().splitlines()[-1]
        write_video(tmp_path / "g" / "stranger.mp4", np.zeros((5, 16, 16, 3), np.uint8), 8.0)
