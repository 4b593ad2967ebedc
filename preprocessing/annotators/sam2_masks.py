"""Masks of tracked people by SAM 2's video predictor (Ravi et al. 2024), prompted by the boxes of their tracks.

Its own ``init_state`` reads files and holds every frame at its input size (12 MB each), and it keeps what it made of
every frame. Here frames are scaled as they are asked for, and what its memory no longer looks at is dropped, so that
what a clip takes does not grow with its length (but for the masks themselves).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from preprocessing.boxes import area, shared_area
from preprocessing.executor.outcome import MachineUnfit

IMAGE_SIZE = 1024
"""Pixels: the side of the square that SAM 2 was trained on."""

PIXELS_PER_TOKEN = 16

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

HIDDEN = 0.5
"""Of a box, in another person's, from which it is no prompt: it may show the other one."""

WHERE_TO_GET = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"


@dataclass
class SAM2Config:
    """Which SAM 2, and how often it is told where somebody is."""

    checkpoint: str = ""
    """File that was downloaded; its name says which network it is."""
    prompt_every: int = 32
    """Frames: of each stretch so long, the box that others overlap least is a prompt."""
    image_size: int = IMAGE_SIZE
    """Pixels. Smaller is faster, by more than the square, and less exact."""

    def __post_init__(self) -> None:
        if self.prompt_every < 1:
            raise ValueError(f"sam2.prompt_every is {self.prompt_every}, it must be at least 1")
        if self.image_size < 64 or self.image_size % 64:
            raise ValueError(f"sam2.image_size is {self.image_size}, it must be a multiple of 64")


MakeMasks = Callable[[UInt8[np.ndarray, "F H W 3"], Float[np.ndarray, "P F 4"]], UInt8[np.ndarray, "P F H W"]]
"""What ``SAM2Masks`` does when called, here or elsewhere."""


class SAM2Masks:
    """Loads the network once; on a GPU, in bfloat16, if there is one.

    Raises:
        ValueError: if the checkpoint is not there or cannot be read, or its name is of no SAM 2 that is known.
    """

    def __init__(self, config: SAM2Config) -> None:
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.predictor = build_predictor(network_of(config), config.image_size).to(self.device)
        _load(self.predictor, Path(config.checkpoint))

    def __call__(
        self, frames: UInt8[np.ndarray, "F H W 3"], boxes: Float[np.ndarray, "P F 4"]
    ) -> UInt8[np.ndarray, "P F H W"]:
        """How likely each pixel of RGB frames shows each person: 255 is certain.

        ``boxes`` are (x0, y0, x1, y1) in pixels, NaN where somebody is not seen. Before anybody is seen there is
        nobody.

        Raises:
            ValueError: if somebody is seen in no frame.
            SystemExit: after a fault of the GPU, so that another process takes over.
            MachineUnfit: if the GPU's memory does not suffice, which depends on who else uses it.
        """
        try:
            return self._masks(frames, boxes)
        except torch.AcceleratorError as error:  # after which nothing works on the GPU in this process
            sys.exit(f"SAM 2: {error}")
        except torch.OutOfMemoryError as error:
            first = str(error).splitlines()[0]
            raise MachineUnfit(f"SAM 2: {first}: let fewer share a GPU, or take a larger one") from error

    def _masks(
        self, frames: UInt8[np.ndarray, "F H W 3"], boxes: Float[np.ndarray, "P F 4"]
    ) -> UInt8[np.ndarray, "P F H W"]:
        prompts = choose_prompts(boxes, self.config.prompt_every)
        first = np.array([prompted[0] for prompted in prompts])
        seen = np.isfinite(boxes).all(axis=-1).argmax(axis=1)
        back = range(0)
        if (late := seen < first).any():  # people who begin entangled, and part
            back = range(int(first[late].max()), int(seen[late].min()) - 1, -1)
        likely = np.zeros((len(boxes), *frames.shape[:3]), np.uint8)
        half = torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext()
        with torch.inference_mode(), half:
            state = self._start(frames)
            for person, prompted in enumerate(prompts):
                for frame in prompted:
                    self.predictor.add_new_points_or_box(state, frame, person, box=boxes[person, frame])
            self._remember_prompts(state)
            for frame, masks in self._follow(state, back):
                likely[:, frame] = masks
            for frame, masks in self._follow(state, range(int(first.min()), len(frames))):
                forth = (first <= frame) | (frame not in back)
                likely[forth, frame] = masks[forth]
        return likely

    def _follow(self, state: dict[str, Any], way: range) -> Iterator[tuple[int, UInt8[np.ndarray, "P H W"]]]:
        """How likely each pixel shows each person, in frames one after the other, forth or back. It remembers of those
        before on this way only what the next ones look at, and nothing of them afterwards."""
        if not way:
            return
        options = {"max_frame_num_to_track": len(way) - 1, "reverse": way.step < 0}
        for frame, _, logits in self.predictor.propagate_in_video(state, way.start, **options):
            yield frame, (255 * logits[:, 0].float().sigmoid()).round().byte().cpu().numpy()
            self._forget(state, frame, way.step)
        for outputs in state["output_dict_per_obj"].values():
            outputs["non_cond_frame_outputs"].clear()

    def _start(self, frames: UInt8[np.ndarray, "F H W 3"]) -> dict[str, Any]:
        """The predictor's state for frames in memory, of which it only reads files itself."""
        scaled = _ScaledFrames(frames, self.config.image_size)
        with patch("sam2.sam2_video_predictor.load_video_frames", lambda **_: (scaled, *frames.shape[1:3])):
            return self.predictor.init_state("", offload_video_to_cpu=True)

    def _remember_prompts(self, state: dict[str, Any]) -> None:
        """Memory is kept in bfloat16. Where nothing else is attended to (before somebody's first prompt), it would meet
        weights in float32, which without autocast is an error."""
        self.predictor.propagate_in_video_preflight(state)
        for outputs in state["output_dict_per_obj"].values():
            for kept in outputs["cond_frame_outputs"].values():
                kept["maskmem_features"] = kept["maskmem_features"].float()

    def _forget(self, state: dict[str, Any], frame: int, step: int) -> None:
        """Drop what no frame to come attends to. Prompted frames stay: all others do."""
        reach = max(self.predictor.num_maskmem, self.predictor.max_obj_ptrs_in_encoder)
        for outputs in state["output_dict_per_obj"].values():
            outputs["non_cond_frame_outputs"].pop(frame - step * reach, None)


def choose_prompts(boxes: Float[np.ndarray, "P F 4"], every: int) -> list[list[int]]:
    """Of each person, the frames that tell where they are, in order: one of every stretch of ``every`` frames, where
    others overlap their box least, unless all overlap by more than ``HIDDEN``. Everybody has one at least.

    Raises:
        ValueError: if somebody is seen in no frame.
    """
    seen = np.isfinite(boxes).all(axis=-1)
    if not seen.any(axis=1).all():
        raise ValueError(f"people {np.flatnonzero(~seen.any(axis=1)).tolist()} are seen in no frame")
    chosen = []
    for person, frames in enumerate(seen):
        others = np.delete(boxes, person, axis=0)
        shared = [shared_area(boxes[person], other) / area(boxes[person]) for other in others]
        hidden = np.where(frames, np.nan_to_num(shared).max(axis=0, initial=0.0), np.inf)
        starts = range(0, len(frames), every)
        best = [start + int(hidden[start : start + every].argmin()) for start in starts]
        chosen.append([frame for frame in best if hidden[frame] <= HIDDEN] or [int(hidden.argmin())])
    return chosen


class _ScaledFrames(Sequence[Tensor]):
    """Frames as SAM 2 wants them, each made when it is asked for: 3×S×S, of mean 0 and deviation 1 over ImageNet."""

    def __init__(self, frames: UInt8[np.ndarray, "F H W 3"], size: int) -> None:
        self.frames, self.size = frames, size

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Float[Tensor, "3 S S"]:  # type: ignore[override]
        scaled = np.array(Image.fromarray(self.frames[index]).resize((self.size, self.size)))
        image = torch.from_numpy(scaled / 255.0).permute(2, 0, 1).float()
        return (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))


def build_predictor(network: str, image_size: int = IMAGE_SIZE) -> Any:
    """SAM 2's video predictor for one of its own configurations, with weights as they are initialised."""
    from sam2.build_sam import build_sam2_video_predictor  # here, as importing it sets up Hydra

    tokens = image_size // PIXELS_PER_TOKEN
    size = [f"++model.image_size={image_size}"] + [
        f"++model.memory_attention.layer.{attention}.feat_sizes=[{tokens},{tokens}]"
        for attention in ("self_attention", "cross_attention")
    ]
    overrides = ["++model.fill_hole_area=0", *size]  # holes are filled with the other masks', without a CUDA kernel
    return build_sam2_video_predictor(network, device="cpu", hydra_overrides_extra=overrides)


def network_of(config: SAM2Config) -> str:
    """The name of the configuration that a checkpoint's file name stands for.

    Raises:
        ValueError: if the checkpoint is not there, or its name is of no SAM 2 that is known.
    """
    from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES

    networks = {file: network for network, file in HF_MODEL_ID_TO_FILENAMES.values()}
    name = Path(config.checkpoint).name
    if not config.checkpoint or not Path(config.checkpoint).is_file():
        raise ValueError(
            f"no SAM 2 weights at {config.checkpoint!r}: download {name or 'sam2.1_hiera_tiny.pt'} from {WHERE_TO_GET} "
            "and give its place as mask_people.sam2.checkpoint"
        )
    if name not in networks:
        raise ValueError(f"mask_people.sam2.checkpoint {name} is none of {', '.join(sorted(networks))}: keep its name")
    return networks[name]


def sam2_name(config: SAM2Config) -> str:
    """What made the masks, for whoever reads them."""
    return f"sam2 {version('sam2')}, {Path(config.checkpoint).name}"


def _load(predictor: torch.nn.Module, path: Path) -> None:
    try:
        predictor.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    except Exception as error:  # torch.load raises whatever the damage leads to
        first = str(error).strip().splitlines()[:1]
        raise ValueError(f"{path} is damaged, or of another SAM 2 ({''.join(first)} …): download it again") from error
