import csv
import json

import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient
from torchvision.models import alexnet

from datamodules.clips import ClipDataModule
from models.vae.load import load_vae
from models.vae.losses import PerceptualLoss
from models.vae.peers import new_peer
from pipelines.common.cli import run
from pipelines.evaluate import evaluate_clips, evaluate_vae
from pipelines.evaluation.scoring import bootstrap
from pipelines.metrics.image import psnr
from preprocessing.video import write_video
from tests.models.vae.test_peers import SMALL
from tests.shard_factory import make_sample, small_shards, write_shards


def test_networks_are_compared_on_the_same_clips(tmp_path, tracking, vae_checkpoint, small_i3d):
    """Ours and a peer whose latents hold 8 frames, written and logged together."""
    shards = str(small_shards(tmp_path / "s", train=0, val=0, test=3, num_frames=17))
    new_peer("ltx", **SMALL["ltx"]).network.save_pretrained(tmp_path / "ltx" / "vae")
    out = tmp_path / "scores"
    options = {"num_frames": 17, "size": (32, 32), "samples": 2, "probe_clips": 2, "fvd_network": str(small_i3d)}
    evaluate_vae(shards, str(out), {"ours": str(vae_checkpoint)}, str(tmp_path / "ltx#vae"), **options)

    vae, expected = load_vae(vae_checkpoint), {}
    for batch in ClipDataModule(shards, 17, (32, 32), batch_size=1).test_dataloader():
        expected[batch.keys[0]] = psnr(vae.decode(vae.encode(batch.video).mean), batch.video).item()
    with (out / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["key"]: float(row["psnr"]) for row in rows if row["network"] == "ours"} == pytest.approx(expected)
    results = json.loads((out / "metrics.json").read_text())
    assert list(results["networks"]) == ["ours", "ltx"]
    ours, ltx = results["networks"].values()
    assert results["metrics"] == ours["metrics"]
    assert ours["metrics"]["psnr"]["mean"] == pytest.approx(np.mean(list(expected.values())))
    assert ours["metrics"]["silhouette_iou_of_truth"]["mean"] > 0.7  # H.264 blurs the rims of small discs
    for found, factor in ((ours, 4), (ltx, 8)):
        metrics = found["metrics"]
        shares = [metrics[f"share_place_{place}"]["mean"] for place in range(1, factor + 1)]
        assert sum(shares) == pytest.approx(1)
        assert metrics["last_frame_share"]["mean"] == shares[-1]
        assert metrics["last_frame_share"]["clips"] == 2
        assert f"share_place_{factor + 1}" not in metrics
        assert metrics["error_place_1"]["mean"] > 0
        assert metrics["fvd"]["clips"] == metrics["psnr"]["clips"] == 3
        assert found["facts"]["temporal_factor"] == factor
        assert sum(found["latents"]["density"]) * 8 / len(found["latents"]["density"]) == pytest.approx(1, abs=0.05)
    assert "vgg16-397923af.pth" in results["unavailable"]["lpips"]
    assert "lpips" not in ours["metrics"]
    assert "have rank 2" in results["notes"]["fvd"]

    assert [found["unavailable"] for found in (ours, ltx)] == [{}, {}]
    page = (out / "report.html").read_text()
    assert page.count(" (2 clips)</td>") == 2  # shares are of --probe_clips, all else of 3
    assert "resampling of the 3 clips, or of as many as" in page
    assert page.count("data:video/mp4;base64,") == 2
    assert page.count("data:image/png;base64,") == 3 + 2
    assert "<td>LPIPS ↓</td><td>–</td><td>–</td>" in page
    client = MlflowClient(tracking)
    experiment = client.get_experiment_by_name("evaluate")
    logged = next(r for r in client.search_runs([experiment.experiment_id]) if r.info.run_name == "scores")
    assert logged.data.metrics["psnr/ltx"] == pytest.approx(ltx["metrics"]["psnr"]["mean"])
    kept = {a.path for a in client.list_artifacts(logged.info.run_id)}
    assert {"clips.csv", "report.html", "clips", "strips", "plots"} <= kept


def test_lpips_is_measured_where_its_weights_are_given(tmp_path, tracking, vae_checkpoint):
    shards = str(small_shards(tmp_path / "s", train=0, val=0, test=1))
    torch.save(alexnet(weights=None).features.state_dict(prefix="features."), tmp_path / "alexnet.pth")
    evaluate_vae(shards, str(tmp_path / "o"), str(vae_checkpoint), None, str(tmp_path / "alexnet.pth"), num_frames=5)
    results = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert results["notes"]["lpips"] == "LPIPS with AlexNet"
    assert list(results["unavailable"]) == ["fvd"]
    video = next(iter(ClipDataModule(shards, 5, (64, 64), batch_size=1).test_dataloader())).video
    vae, network = load_vae(vae_checkpoint), PerceptualLoss(tmp_path / "alexnet.pth")
    made = vae.decode(vae.encode(video).mean).clamp(-1, 1)
    assert results["metrics"]["lpips"]["mean"] == pytest.approx(network(made, video).item(), rel=1e-4)
    experiment = MlflowClient(tracking).get_experiment_by_name("evaluate")
    logged = MlflowClient(tracking).search_runs([experiment.experiment_id])
    assert "psnr" in next(run for run in logged if run.info.run_name == "o").data.metrics  # one network: plain names


def test_clips_too_short_for_i3d_have_no_fvd(tmp_path, vae_checkpoint, small_i3d):
    shards = str(small_shards(tmp_path / "s", train=0, val=0, test=2))
    evaluate_vae(shards, str(tmp_path / "o"), str(vae_checkpoint), num_frames=9, samples=0, fvd_network=str(small_i3d))
    results = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert "fvd" not in results["metrics"]
    assert "has 9 frames and I3D needs 10 or more" in results["unavailable"]["fvd"]


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


def test_clips_that_begin_later_are_judged_by_what_is_seen_there(tmp_path):
    sample = make_sample(0)
    shards = str(write_shards(tmp_path / "s", [("test", sample)]))
    found = {}
    for noted in (True, False):
        folder = tmp_path / f"noted_{noted}"
        write_video(folder / f"{sample.key}.mp4", sample.video[4:], 8.0)
        if noted:
            (folder / "split.json").write_text('{"split": "test", "start": 4}')
        evaluate_clips(str(folder), shards, str(tmp_path / f"out_{noted}"), samples=0)
        found[noted] = json.loads((tmp_path / f"out_{noted}" / "metrics.json").read_text())["metrics"]["psnr"]["mean"]
    assert found[True] > found[False] + 5


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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "nothing to evaluate: give --vae"),
        (["--vae", "none.ckpt"], "none.ckpt: no such checkpoint"),
        (["--vae", '["a/x.ckpt", "b/a/x.ckpt"]'], "two networks are called 'a/x'"),
        (["--num_frames", "16"], "use 13 or 17 frames"),
        (["--num_frames", "33"], "33"),
        (["--size", "[60, 64]"], "size is (H, W) in multiples of 8 pixels, not (60, 64)"),
        (["--size", "[8, 64]"], "not (8, 64), and SSIM needs 11 or more"),
        (["--samples", "-1"], "--samples is -1: give 0 for none, or more"),
        (["--probe_clips", "-2"], "--probe_clips is -2: give 0 for none, or more"),
        (["--device", "foo"], "--device foo cannot be used"),
        (["--device", "cuda:99"], "--device cuda:99 cannot be used"),
        (["--lpips_weights", "none.pth"], "no VGG-16 weights at none.pth: download"),
        (["--fvd_network", "none.pt"], "no I3D network at none.pt: download"),
    ],
)
def test_mistakes_with_autoencoders_are_one_line(tmp_path, capsys, options, expected):
    shards = str(small_shards(tmp_path / "s", train=1, val=0, test=1))
    with pytest.raises(SystemExit) as stop:
        run({"vae": evaluate_vae}, ["vae", "--shards", shards, "--out", "o", "--num_frames", "9", *options])
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err.strip().splitlines()[-1]
