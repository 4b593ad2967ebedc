"""Score reconstructed or generated clips against the truth.

    python -m pipelines.evaluate vae --vae outputs/vae/last.ckpt --shards data/shards --out outputs/evaluate/vae
    python -m pipelines.evaluate vae --vae '{"ours": "a.ckpt", "w/o reg": "b.ckpt"}' \\
        --peers '["THUDM/CogVideoX-5b#vae", "cosmos"]' --shards data/shards --out outputs/evaluate/table1
    python -m pipelines.evaluate clips --generated outputs/generated --truth data/shards --out outputs/evaluate/dit

Each writes ``metrics.json`` (means with bootstrap intervals), ``clips.csv`` (one row a clip and network), side-by-side
clips, strips of frames, plots and ``report.html`` into ``--out``, and logs all of it to the MLflow experiment
``evaluate``. An autoencoder that breaks does not cost the others their results: the report names it, and the program
ends with an error. docs/vae_evaluation.md says what every figure means.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from datamodules.clips import ClipDataset, to_pixels
from datamodules.shards import Shards
from datamodules.surface import Surface
from models.batch import ClipBatch
from models.timeline import SPATIAL_FACTOR, check_num_frames
from pipelines.common.cli import run
from pipelines.common.device import choose_device
from pipelines.evaluation.networks import Network, NetworkError, Reconstruction, Sources, load_networks
from pipelines.evaluation.results import Gallery, NetworkResult, write_results
from pipelines.evaluation.scoring import Judges, Pair, Scores, Tally
from pipelines.metrics.image import SMALLEST_SIDE_PX
from pipelines.metrics.last_frame_bias import error_by_frame, error_by_place, information_by_place, last_frame_share
from pipelines.metrics.latent_statistics import LatentStatistics
from preprocessing.places import VideoError
from preprocessing.video import FrameArray, decode_frames


def evaluate_vae(
    shards: str | list[str],
    out: str,
    vae: Sources | None = None,
    peers: Sources | None = None,
    lpips_weights: str | None = None,
    fvd_network: str | None = None,
    split: str = "test",
    num_frames: int = 17,
    size: tuple[int, int] = (64, 64),
    max_people: int = 8,
    samples: int = 8,
    probe_clips: int = 16,
    tile: int | None = None,
    device: str | None = None,
) -> None:
    """Compare autoencoders by their reconstructions (the posterior's mean, decoded) and latents of the same clips.

    Args:
        shards: one shard folder, or several.
        out: folder for the results.
        vae: checkpoint of a VAE fit, a list of them, or a dictionary {name: checkpoint}.
        peers: autoencoders of diffusers: a folder, a hub id such as THUDM/CogVideoX-5b#vae, a list or a dictionary.
        lpips_weights: torchvision's VGG-16 or AlexNet with ImageNet weights (.pth); without it there is no LPIPS.
        fvd_network: i3d_torchscript.pt of StyleGAN-V; without it there is no FVD. Frames are scaled and cut to 224×224
            first and covariances are over n − 1, so figures are not those of StyleGAN-V's program. A TorchScript file
            is a program that this one runs: give none that you do not trust.
        split: train, val or test.
        num_frames: of each clip, from its first on: 1 + a multiple of 4.
        size: height and width in pixels, multiples of 8, 16 or more.
        max_people: most people in a clip.
        samples: clips to show.
        probe_clips: clips on which the share of each frame in its latent is measured, which takes 1 + 4 encodings.
        tile: side in pixels of overlapping tiles in which our own work, to see what tiles cost; null for whole frames.
        device: by default a GPU where there is one.

    Raises:
        ValueError: if there is no network or no clip, names collide, or a file, length, size or device does not fit;
            and at the end, the results of the others being written, if a network could not be measured.
    """
    check_num_frames(num_frames)
    if any(side < SMALLEST_SIDE_PX or side % SPATIAL_FACTOR for side in size):
        raise ValueError(
            f"size is (H, W) in multiples of {SPATIAL_FACTOR} pixels, not {tuple(size)}, and SSIM needs "
            f"{SMALLEST_SIDE_PX} or more"
        )
    _require_counts(samples=samples, probe_clips=probe_clips)
    where = choose_device(device)
    truths = ClipDataset(Shards(shards, split), num_frames, size, Surface(0, "open", max_people))
    judges = Judges(lpips_weights, fvd_network, where)
    networks = load_networks(vae, peers, tile)
    _make_folder(out)
    gallery = Gallery(samples)
    results: dict[str, NetworkResult] = {}
    broken: dict[str, str] = {}
    with tqdm(total=len(networks) * len(truths), unit="clip") as bar:
        for network in networks:
            bar.set_description(network.name)
            try:
                network.vae.to(where)
                results[network.name] = _measure(network, truths, judges, gallery, probe_clips, where, bar)
            except (NetworkError, torch.OutOfMemoryError) as error:
                broken[network.name] = str(error).splitlines()[0]
                gallery.forget(network.name)
            network.vae.to("cpu")
    reasons = "; ".join(f"{name}: {why}" for name, why in broken.items())
    if not results:
        raise ValueError(f"no network could be measured: {reasons}")
    settings = {
        "program": "vae",
        "vae": vae,
        "peers": peers,
        "shards": shards,
        "split": split,
        "num_frames": num_frames,
        "size": tuple(size),
        "tile": tile,
        "clips": len(truths),
        "device": where,
        "threads": torch.get_num_threads(),
    }
    write_results(out, {k: str(v) for k, v in settings.items() if v is not None}, results, gallery, judges, broken)
    if broken:
        raise ValueError(f"{len(broken)} of {len(networks)} networks could not be measured ({reasons}); see {out}")


def evaluate_clips(
    generated: str,
    truth: str | list[str],
    out: str,
    lpips_weights: str | None = None,
    fvd_network: str | None = None,
    split: str = "test",
    max_people: int = 8,
    samples: int = 8,
    device: str | None = None,
) -> None:
    """Score generated clips against the clips of the same keys.

    Args:
        generated: folder of {key}.mp4 and, in backgrounds/, the clean background of each as the network knew it. Clips
            begin where the true ones do or, as pipelines.generate notes in its split.json, at a later frame.
        truth: one shard folder, or several.
        out: folder for the results.
        lpips_weights: torchvision's VGG-16 or AlexNet with ImageNet weights (.pth); without it there is no LPIPS.
        fvd_network: i3d_torchscript.pt of StyleGAN-V; without it there is no FVD. Frames are scaled and cut to 224×224
            first and covariances are over n − 1, so figures are not those of StyleGAN-V's program. A TorchScript file
            is a program that this one runs: give none that you do not trust.
        split: that the keys are from: train, val or test.
        max_people: most people in a clip.
        samples: clips to show.
        device: by default a GPU where there is one.

    Raises:
        ValueError: if there are no clips, one has no truth, cannot be read or is too small, its background is of
            another length or size, or the device does not fit.
    """
    _require_counts(samples=samples)
    paths = sorted(Path(generated).glob("*.mp4"))
    if not paths:
        raise ValueError(f"no {{key}}.mp4 in {generated}: give the folder that pipelines.generate wrote")
    shards = Shards(truth, split)
    index = {row.key: i for i, row in enumerate(shards.rows)}
    if unknown := [path.stem for path in paths if path.stem not in index]:
        raise ValueError(f"{len(unknown)} of {len(paths)} clips are not in split {split!r} of {truth}: {unknown[0]}, …")
    noted = Path(generated) / "split.json"
    start = json.loads(noted.read_text())["start"] if noted.exists() else 0
    where, name = choose_device(device), Path(generated).resolve().name
    judges, gallery = Judges(lpips_weights, fvd_network, where), Gallery(samples)
    _make_folder(out)
    tally = Tally(judges)
    for path in tqdm(paths, desc="evaluating", unit="clip"):
        frames, background = _read_clip(path)
        length, height, width = frames.shape[:3]
        dataset = ClipDataset(shards, length, (height, width), Surface(0, "open", max_people), start=start)
        behind = None if background is None else to_pixels(background).to(where)
        pair = Pair(dataset[index[path.stem]].to(where), to_pixels(frames).to(where), behind)
        tally.add(pair)
        gallery.add(pair, name)
    settings = {"program": "clips", "generated": generated, "truth": str(truth), "split": split}
    metrics = tally.summary()
    write_results(out, settings, {name: NetworkResult(tally.rows, metrics, missing=tally.missing)}, gallery, judges)


def _measure(
    network: Network,
    truths: ClipDataset,
    judges: Judges,
    gallery: Gallery,
    probe_clips: int,
    device: torch.device,
    bar: tqdm,
) -> NetworkResult:
    """One network over all clips. Raises ``NetworkError`` if there is one of which it makes no numbers."""
    tally, statistics = Tally(judges), LatentStatistics()
    network(truths[0].video.to(device))  # the first call chooses algorithms and allocates: not to be timed
    for truth in _batches(truths, device):
        made = network(truth.video)
        background = network(truth.background).video if truth.has_background else None
        pair = Pair(truth, made.video, background)
        tally.add(pair, **_clip_figures(network, truth, made))
        try:
            statistics.update(made.posterior.mean, made.posterior.logvar)
        except ValueError as error:  # a variance beyond all numbers
            raise NetworkError(str(error)) from error
        gallery.add(pair, network.name)
        bar.update()
    facts = network.facts(truth.video, made.posterior)
    missing: dict[str, str] = {}
    try:
        probed = [truths[index].to(device) for index in range(min(probe_clips, len(truths)))]
        shares = {clip.keys[0]: _shares(network, clip, statistics, index) for index, clip in enumerate(probed)}
    except (ValueError, RuntimeError) as error:  # collapsed, or out of memory: the other figures stand
        shares, missing["last_frame_share"] = {}, f"last frame's share: {str(error).splitlines()[0]}"
    for key, scores in shares.items():
        tally.rows[key] |= scores
    metrics = tally.summary()
    return NetworkResult(tally.rows, metrics, facts, statistics.result(), tally.missing | missing)


def _batches(truths: ClipDataset, device: torch.device) -> Iterator[ClipBatch]:
    for truth in DataLoader(truths, batch_size=None):
        yield truth.to(device)


def _clip_figures(network: Network, truth: ClipBatch, made: Reconstruction) -> Scores:
    """Seconds a million pixels of a frame (Mpf) that the network was given, and the error at each place of a latent."""
    million = math.prod(made.given) / 1e6
    figures = {"encode_s_per_mpf": made.encode_s / million, "decode_s_per_mpf": made.decode_s / million}
    if 2 <= network.temporal_factor < truth.video.shape[2]:
        figures["error_frame_0"] = float(error_by_frame(truth.video, made.video)[0])
        errors = error_by_place(truth.video, made.video, network.temporal_factor).tolist()
        figures |= {f"error_place_{place}": error for place, error in enumerate(errors, start=1)}
    return figures


@torch.inference_mode()
def _shares(network: Network, truth: ClipBatch, statistics: LatentStatistics, seed: int) -> Scores:
    """The share of each frame of a window in its latent; two windows, so that there is a past."""
    factor = network.temporal_factor
    clip = truth.video[:, :, : 1 + 2 * factor]
    if not 2 <= factor < clip.shape[2]:
        return {}
    shares = information_by_place(network.vae.encode, clip, factor, statistics.spread(), seed=seed)
    by_place = {f"share_place_{place}": share for place, share in enumerate(shares.tolist(), start=1)}
    return {**by_place, "last_frame_share": last_frame_share(shares)}


def _read_clip(path: Path) -> tuple[FrameArray, FrameArray | None]:
    """A generated clip and, if there is one, its clean background."""
    frames = _decoded(path)
    if min(frames.shape[1:3]) < SMALLEST_SIDE_PX:
        raise ValueError(f"{path} is {frames.shape[2]}×{frames.shape[1]} pixels: SSIM needs {SMALLEST_SIDE_PX} or more")
    behind = path.parent / "backgrounds" / path.name
    if not behind.is_file():
        return frames, None
    background = _decoded(behind)
    if background.shape != frames.shape:
        raise ValueError(
            f"{behind} has {_size(background)} and its clip {_size(frames)}: give the "
            f"background of each of its frames, or none"
        )
    return frames, background


def _decoded(path: Path) -> FrameArray:
    try:
        return decode_frames(path.read_bytes())
    except VideoError as error:
        raise ValueError(f"{path}: {error}; generate it again, or take it away") from error


def _size(frames: FrameArray) -> str:
    return f"{len(frames)} frames of {frames.shape[2]}×{frames.shape[1]} pixels"


def _make_folder(out: str) -> None:
    """Before hours of work, not after."""
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {out} cannot be a folder ({error.strerror}): choose another") from error


def _require_counts(**options: int) -> None:
    for name, value in options.items():
        if value < 0:
            raise ValueError(f"--{name} is {value}: give 0 for none, or more")


if __name__ == "__main__":
    run({"vae": evaluate_vae, "clips": evaluate_clips})
