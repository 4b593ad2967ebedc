"""The training command line, with a network of one number: configuration, tracking and exact resumption."""

import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from mlflow.tracking import MlflowClient

from datamodules.clips import ClipDataModule
from models.batch import ClipBatch
from pipelines import fit_vae
from pipelines.callbacks.sample_clips import SampleClips
from pipelines.common.cli import mistakes_end_the_program, run
from pipelines.common.fit_cli import FitCLI
from preprocessing.video import decode_frames
from tests.pipelines.small_fit import arguments
from tests.shard_factory import make_sample, small_shards, write_shards

SEEN: list[tuple[int, list[str], float]] = []
"""What training steps saw: step, keys, mean of the video."""


class Brightness(LightningModule):
    """Learns the mean of all videos."""

    def __init__(self, rate: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        self.rate, self.mean = rate, torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: ClipBatch, batch_idx: int) -> torch.Tensor:
        SEEN.append((self.global_step, batch.keys, batch.video.mean().item()))
        loss = (batch.video - self.mean).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        self.log("val/loss", (batch.video - self.mean).square().mean(), batch_size=len(batch.keys))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.rate)


class Halve(SampleClips):
    """Shows the video beside a darker one."""

    def render(self, pl_module, batch):
        return [batch.video, batch.video / 2 - 0.5]


def cli(*args: str) -> FitCLI:
    return FitCLI(Brightness, ClipDataModule, "brightness", Halve, args=["fit", *args])


def options(shards: str, max_steps: int) -> list[str]:
    return [
        f"--data.shards={shards}", "--data.num_frames=5", "--data.size=[32,32]", "--data.batch_size=2",
        "--data.augment={}", f"--trainer.max_steps={max_steps}", "--trainer.val_check_interval=2",
        "--trainer.check_val_every_n_epoch=null", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--samples.num_clips=2",
        "--samples.every_n_steps=1", "--checkpoint.monitor=val/loss",
    ]  # fmt: skip


def test_print_config_shows_every_section_and_its_defaults(capsys):
    with pytest.raises(SystemExit) as stop:
        cli("--print_config")
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for line in ("seed_everything: 0", "default_root_dir: outputs", "dirpath: outputs/brightness", "num_clips: 4"):
        assert line in shown
    assert "experiment_name: brightness" in shown


@pytest.mark.parametrize("key", ["data.sise", "model.raet", "model.rat", "checkpoint.folder", "trainer.max_stepz"])
def test_a_wrong_key_is_named(key, capsys):
    with pytest.raises(SystemExit) as stop:
        cli("--data.shards=x", f"--{key}=1")
    assert stop.value.code == 2
    assert key.split(".")[-1] in capsys.readouterr().err.splitlines()[-1]


def test_a_fit_resumes_in_its_run_with_the_order_of_an_unbroken_one(tmp_path, tracking):
    shards = str(small_shards(tmp_path / "shards", train=5, val=3, test=0))
    SEEN.clear()
    cli(*options(shards, 8), "--trainer.logger=false", "--checkpoint.dirpath=whole", "--samples.num_clips=0")
    unbroken = SEEN.copy()
    SEEN.clear()
    cli(*options(shards, 4))  # an epoch has 3 batches: this stops in the middle of the second
    cli(*options(shards, 8), "--ckpt_path=outputs/brightness/last.ckpt", "--data.cache=true")
    assert [step for step, *_ in unbroken] == list(range(8))
    assert unbroken == SEEN

    client = MlflowClient(tracking)
    experiment = client.get_experiment_by_name("brightness")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    (one,) = client.search_runs([experiment.experiment_id])
    assert one.info.run_id == json.loads((tmp_path / "outputs/brightness/run.json").read_text())["run_id"]
    assert one.data.params["data/num_frames"] == "5"
    history = client.get_metric_history(one.info.run_id, "train/loss")
    assert sorted(point.step for point in history) == list(range(8))
    assert one.data.metrics["train/clips_per_s"] > 0
    config = Path(client.download_artifacts(one.info.run_id, "config.yaml", str(tmp_path))).read_text()
    assert "num_frames: 5" in config
    assert "cache: false" in config
    resumed = Path(client.download_artifacts(one.info.run_id, "config_resumed_1.yaml", str(tmp_path))).read_text()
    assert "cache: true" in resumed

    samples = {item.path for item in client.list_artifacts(one.info.run_id, "samples")}
    assert {"samples/step_00000002.mp4", "samples/step_00000008.mp4"} <= samples
    clip = client.download_artifacts(one.info.run_id, "samples/step_00000008.mp4", str(tmp_path))
    frames = decode_frames(Path(clip).read_bytes())
    assert frames.shape == (5, 64, 68, 3)  # two clips over each other, each 32 | gap of 4 | 32
    assert frames[..., 36:, :].mean() < 0.6 * frames[..., :32, :].mean()
    images = [item.path for item in client.list_artifacts(one.info.run_id, "images")]
    assert any("samples" in path and path.endswith(".png") for path in images)


@pytest.mark.parametrize(("pays", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_fit_is_in_bfloat16_where_there_are_instructions_for_it(tmp_path, monkeypatch, pays, precision):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("models.precision.computes_bfloat16", lambda device: pays)
    shards = str(small_shards(tmp_path / "shards", train=2, val=1, test=0))
    quiet = ("--trainer.logger=false", "--samples.num_clips=0", "--checkpoint.monitor=null")
    fit = cli(*options(shards, 1), *quiet, "--trainer.precision=bf16-mixed")
    assert fit.trainer.precision == precision
    assert fit.config.fit.trainer.precision == precision


def test_run_reports_a_mistake_in_one_line(capsys):
    def half(number: int) -> None:
        """Halve an even number."""
        if number % 2:
            raise ValueError(f"number must be even, not {number}")

    run(half, ["--number=4"])
    with pytest.raises(SystemExit) as stop:
        run(half, ["--number=3"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip().endswith("error: number must be even, not 3")


def fit_vae_error(shards, capsys, *options: str) -> str:
    """The line with which a small fit of the autoencoder ends, with status 2."""
    with pytest.raises(SystemExit) as stop:
        fit_vae.main(arguments(shards, "mistaken", "--trainer.logger=false", *options))
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def five_shards(tmp_path_factory):
    return small_shards(tmp_path_factory.mktemp("cli") / "shards", train=5, val=2, test=0, num_frames=6, size=(32, 32))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--ckpt_path=nowhere.ckpt"], "ckpt_path is nowhere.ckpt: no such checkpoint; leave it out"),
        (["--ckpt_path=text.ckpt"], "ckpt_path is text.ckpt, which is no checkpoint, or was cut short"),
        (["--ckpt_path=short.ckpt"], "ckpt_path is short.ckpt, which is no checkpoint, or was cut short"),
        (["--model.init_from=text.ckpt"], "text.ckpt cannot be read: it is no file of torch.save, or was cut short"),
        (["--model.discriminator_channels=[8,12]"], "multiples of the 8 norm groups, not [8, 12]"),
        (["--data.augment.max_speed=0.5"], "max_speed must be at least 1, not 0.5"),
        (["--data.buckets=[{size: [20, 24], num_frames: 5}]", "--data.window=null"], "8 pixels, not (20, 24)"),
        (["--trainer.precision=bf16-true"], "trainer.precision is bf16-true: weights, their average"),
        (["--guard.monitor=train/typo"], "guard.monitor is 'train/typo', which the first step did not log"),
        (
            ["--guard.monitor=train/loss", "--guard.factor=1.0001", "--guard.patience=1", "--guard.window=1"],
            "times its running mean",
        ),
    ],
)
def test_a_mistake_ends_a_fit_with_one_line(five_shards, tmp_path, monkeypatch, capsys, options, line):
    monkeypatch.chdir(tmp_path)
    Path("text.ckpt").write_text("hello, this is a text\n")
    torch.save({"state_dict": {"weight": torch.zeros(1000)}}, "short.ckpt")
    Path("short.ckpt").write_bytes(Path("short.ckpt").read_bytes()[:2000])
    assert line in fit_vae_error(five_shards, capsys, *options)


def test_a_clip_with_too_many_people_ends_a_fit_before_its_first_step(tmp_path, monkeypatch, capsys):
    """Also one of validation, which would first be read in the middle."""
    monkeypatch.chdir(tmp_path)
    clips = [("train", make_sample(0, people=4)), ("val", make_sample(1, people=5)), ("val", make_sample(2))]
    shards = str(write_shards(tmp_path / "shards", clips))
    SEEN.clear()
    with pytest.raises(SystemExit) as stop:
        cli(*options(shards, 4), "--trainer.logger=false", "--trainer.num_sanity_val_steps=0")
    assert stop.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "1 of 2 clips of split 'val' have more than max_people=4 people (clip " in line
    assert line.endswith("has 5): set max_people to at least 5")
    assert not SEEN


@pytest.mark.parametrize(
    ("package", "source", "expected"),
    [
        ("models.vae.module", "raise ValueError('no such checkpoint')", True),
        ("models.vae.module", "int('x')", False),
        ("models.vae.module", "list(zip([1], [], strict=True))", False),
        ("torch.nn", "raise ValueError('optimizer got an empty parameter list')", False),
    ],
)
def test_errors_in_the_code_keep_their_traceback(package, source, expected, capsys):
    with pytest.raises(SystemExit if expected else ValueError), mistakes_end_the_program():
        exec(source, {"__name__": package})


def test_help_says_what_several_programs_are_for(capsys):
    def half(number: int) -> None:
        """Halve a number."""

    with pytest.raises(SystemExit) as stop:
        run({"half": half}, ["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "The training command line, with a network of one number" in shown, "the first line of this file"
    assert "Halve a number." in shown
