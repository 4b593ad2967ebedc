"""What is broken costs nothing but itself: networks among others, files of generated clips, folders of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from models.vae.peers import new_peer
from pipelines.common.cli import run
from pipelines.evaluate import evaluate_clips, evaluate_vae
from pipelines.evaluation import networks
from pipelines.evaluation.results import NetworkResult, _flat
from pipelines.evaluation.scoring import Judges, Tally
from pipelines.report import write_report
from preprocessing.video import write_video
from tests.models.vae.test_peers import SMALL
from tests.shard_factory import make_sample, small_shards, write_shards


def damaged(checkpoint: Path, path: Path, part: str, value: float) -> str:
    """A copy of a checkpoint whose layers of one name hold one value."""
    content = torch.load(checkpoint, weights_only=True)
    state = content["state_dict"]
    content["state_dict"] = {k: torch.full_like(v, value) if part in k else v for k, v in state.items()}
    torch.save(content, path)
    return str(path)


def read_strictly(path: Path) -> dict:
    """JSON as its standard has it: without NaN."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{path} holds {constant}")

    return json.loads(path.read_text(), parse_constant=refuse)


def stop_of(programs: object, arguments: list[str], capsys: pytest.CaptureFixture) -> str:
    """The last line of a program that ends with an error."""
    with pytest.raises(SystemExit) as stop:
        run(programs, arguments)  # type: ignore[arg-type]
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_broken_networks_do_not_cost_the_others_their_results(
    tmp_path: Path, vae_checkpoint: Path, capsys: pytest.CaptureFixture
) -> None:
    shards = str(small_shards(tmp_path / "s", train=0, val=0, test=2))
    sources = {
        "no latents": damaged(vae_checkpoint, tmp_path / "a.ckpt", "encoder.conv_out", torch.nan),
        "good": str(vae_checkpoint),
        "no picture": damaged(vae_checkpoint, tmp_path / "b.ckpt", "decoder.conv_out", torch.nan),
        "good again": str(vae_checkpoint),
    }
    options = ["--shards", shards, "--out", "o", "--num_frames", "9", "--size", "[32, 32]"]
    error = stop_of({"vae": evaluate_vae}, ["vae", *options, "--vae", json.dumps(sources)], capsys)
    assert "2 of 4 networks could not be measured (no latents: numbers in its latents are not finite" in error
    results = read_strictly(Path("o/metrics.json"))
    assert list(results["networks"]) == ["good", "good again"]
    assert list(results["broken"]) == ["no latents", "no picture"]
    assert results["networks"]["good"]["metrics"]["psnr"] == results["networks"]["good again"]["metrics"]["psnr"]
    page = Path("o/report.html").read_text()
    assert "– no picture could not be measured: numbers in its reconstruction are not finite" in page
    assert "nan" not in Path("o/clips.csv").read_text()


def test_a_collapsed_network_lacks_its_share_and_nothing_else(
    tmp_path: Path, vae_checkpoint: Path, capsys: pytest.CaptureFixture
) -> None:
    shards = str(small_shards(tmp_path / "s", train=0, val=0, test=2))
    collapsed = damaged(vae_checkpoint, tmp_path / "c.ckpt", "", 0.0)
    options = {"num_frames": 9, "size": (32, 32), "samples": 1}
    evaluate_vae(shards, "o", {"collapsed": collapsed, "good": str(vae_checkpoint)}, **options)  # type: ignore[arg-type]
    bad, good = read_strictly(Path("o/metrics.json"))["networks"].values()
    assert set(good["metrics"]) - set(bad["metrics"]) == {
        "last_frame_share",
        *(f"share_place_{p}" for p in range(1, 5)),
    }
    assert "answers to none of its frames" in bad["unavailable"]["last_frame_share"]
    assert "collapsed: last frame's share: the latent answers to none" in capsys.readouterr().out


def test_only_broken_networks_are_no_evaluation(
    tmp_path: Path, vae_checkpoint: Path, capsys: pytest.CaptureFixture
) -> None:
    shards = str(small_shards(tmp_path / "s", train=0, val=0, test=1))
    bad = damaged(vae_checkpoint, tmp_path / "bad.ckpt", "decoder.conv_out", torch.nan)
    options = ["--shards", shards, "--out", "o", "--num_frames", "9", "--vae", json.dumps({"bad": bad})]
    assert "no network could be measured: bad: numbers in its recon" in stop_of(
        {"vae": evaluate_vae}, ["vae", *options], capsys
    )
    assert not Path("o/metrics.json").exists()


def test_a_measure_that_is_no_number_is_missing() -> None:
    tally = Tally(Judges(None, None, torch.device("cpu")), {"a": {"psnr": 1.0, "lpips": 0.1}, "b": {"psnr": 3.0}})
    tally.rows["b"]["lpips"] = float("nan")
    assert list(tally.summary()) == ["psnr"]
    assert tally.missing == {"lpips": "lpips is not finite for 1 of 2 clips"}


def test_seconds_are_of_the_pixels_that_a_peer_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a clip of 5 frames and 40×40 pixels LTX is given 9 frames of 64×64."""
    clock = iter(range(10_000))
    monkeypatch.setattr(networks, "_now", lambda device: float(next(clock)))  # every part takes a second
    new_peer("ltx", **SMALL["ltx"]).network.save_pretrained(tmp_path / "ltx")
    shards = str(small_shards(tmp_path / "s", train=0, val=0, test=1))
    evaluate_vae(shards, "o", None, str(tmp_path / "ltx"), num_frames=5, size=(40, 40), samples=0)
    metrics = read_strictly(Path("o/metrics.json"))["metrics"]
    for part in ("encode", "decode"):
        assert metrics[f"{part}_s_per_mpf"]["mean"] == pytest.approx(1e6 / (9 * 64 * 64))


def test_names_that_mlflow_takes_for_one_stay_apart() -> None:
    names = ["a/b", "a:b", "a_b", "c", ".", ""]
    flat = _flat({name: NetworkResult({}, {"psnr": {"mean": float(i)}}) for i, name in enumerate(names)})
    assert sorted(flat.values()) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert (flat["psnr/a_b"], flat["psnr/c"]) == (2.0, 3.0)  # names that need no change keep theirs
    assert _flat({"a/b": NetworkResult({}, {"psnr": {"mean": 1.0}})}) == {"psnr": 1.0}


def test_generated_clips_that_cannot_be_scored_are_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    sample = make_sample(0)
    shards = str(write_shards(tmp_path / "s", [("test", sample)]))
    clip, behind = Path("g") / f"{sample.key}.mp4", Path("g/backgrounds") / f"{sample.key}.mp4"
    arguments = ["clips", "--generated", "g", "--truth", shards, "--out", "o"]

    def error(*more: str) -> str:
        return stop_of({"clips": evaluate_clips}, [*arguments, *more], capsys)

    write_video(clip, sample.video[:, :8, :8], 8.0)
    assert str(clip) in error()
    clip.write_bytes(b"no video")
    assert f"{clip}: 8 bytes that are not a readable video" in error()
    write_video(clip, sample.video, 8.0)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    assert f"{clip}: " in error()
    write_video(clip, sample.video, 8.0)
    for other in (sample.video[:5], sample.video[:, :32]):
        write_video(behind, other, 8.0)
        assert (
            f"{behind} has {len(other)} frames of 64×{other.shape[1]} pixels and its clip 9 frames of 64×48" in error()
        )
    behind.unlink()
    assert "--samples is -1" in error("--samples", "-1")
    Path("file").touch()
    assert "--out file cannot be a folder (File exists)" in error("--out", "file")


def test_results_that_are_not_whole_are_named(
    tmp_path: Path, vae_checkpoint: Path, capsys: pytest.CaptureFixture
) -> None:
    shards = str(small_shards(tmp_path / "s", train=0, val=0, test=1))
    evaluate_vae(shards, "o", str(vae_checkpoint), num_frames=5, size=(32, 32), samples=1)
    out = Path("o")
    for path in (next(out.glob("strips/*.png")), next(out.glob("clips/*.mp4")), out / "clips.csv"):
        content = path.read_bytes()
        path.unlink()
        assert f"{path} is missing" in stop_of(write_report, ["--folder", "o"], capsys)
        path.write_bytes(content)
    for text, expected in (("{", "is no JSON"), ("[]", "of an older version"), ('{"networks": {}}', "of an older")):
        (out / "metrics.json").write_text(text)
        assert expected in stop_of(write_report, ["--folder", "o"], capsys)
