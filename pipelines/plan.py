"""What a fit of the ISA-DiT will cost, before any of it is bought.

    python -m pipelines.plan --fit configs/dit/paper_4b.yaml
    python -m pipelines.plan --fit configs/dit/small.yaml --num_frames 33 --size "[256,256]" --gpus 1

Counted on the meta device, so in seconds on a laptop whatever the size: the parameters of each part, the floating-point
operations of a training step, and the bytes that one GPU holds under DDP and each stage of ZeRO.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from models.batch import BodyBatch, Conditions, ReferenceBatch
from models.isa_dit import ISADiT, ISADiTConfig
from models.timeline import SPATIAL_FACTOR, num_latents
from models.vae.autoencoder import check_size
from pipelines.common.cli import run

CLIP_TOKENS = 257
"""Of ViT-H/14."""

WEIGHT, AVERAGE, GRADIENT, ADAM = 4, 4, 4, 8
"""Bytes a parameter: all of it is float32 under ``bf16-mixed``. The average of the weights is what is sampled from."""

SPREAD = {
    "ddp": (),
    "zero_1": ("optimizer",),
    "zero_2": ("optimizer", "gradients"),
    "zero_3": ("optimizer", "gradients", "weights"),
}
"""Strategy → what each GPU holds only its share of."""


@dataclass(frozen=True)
class Plan:
    """The cost of a fit whose every GPU has a batch of its own."""

    parameters: dict[str, int]
    """Part of the network → how many."""
    forward_flops: int
    """Of one batch."""
    step_flops: int
    """Forward and backward, and forward again where activations are not kept."""
    activation_bytes: int
    """What the backward pass needs at its peak, in float32; under bf16 about half. Attention by a fused kernel."""

    def state_bytes(self, strategy: str, gpus: int) -> dict[str, float]:
        """Weights (with their average), gradients and optimizer on one GPU."""
        count = sum(self.parameters.values())
        whole = {"weights": WEIGHT + AVERAGE, "gradients": GRADIENT, "optimizer": ADAM}
        return {part: count * size / (gpus if part in SPREAD[strategy] else 1) for part, size in whole.items()}


def plan_dit(
    config: ISADiTConfig, num_frames: int, size: tuple[int, int], num_points: int = 512, people: int = 1,
    batch_size: int = 1, clip_tokens: int = CLIP_TOKENS,
) -> Plan:  # fmt: skip
    """Count everything for one network.

    Args:
        size: (H, W) in pixels.
        people: in each clip, padding included.

    Raises:
        ValueError: if a clip cannot have that length or size.
    """
    check_size(*size)
    with torch.device("meta"):
        network = ISADiT(config).train()
        given = conditions_like(config, num_frames, size, num_points, people, batch_size, clip_tokens)
        x_t, t = given.background_latents, torch.empty(batch_size)
        with FlopCounterMode(display=False) as counter, kept_for_backward(network) as kept:
            loss = network(x_t, t, network.condition(given)).square().mean()
        forward = counter.get_total_flops()
        activations = sum(kept.values()) + (_largest_layer(network, given) if config.checkpoint_layers else 0)
        with FlopCounterMode(display=False) as counter:
            loss.backward()
    return Plan(parameters_by_part(network), forward, forward + counter.get_total_flops(), activations)


def conditions_like(
    config: ISADiTConfig, num_frames: int, size: tuple[int, int], num_points: int, people: int, batch_size: int,
    clip_tokens: int,
) -> Conditions:  # fmt: skip
    """Conditions of these shapes that nobody wrote, on the current device."""
    (height, width), latents = (side // SPATIAL_FACTOR for side in size), num_latents(num_frames)

    def body(frames: int) -> BodyBatch:
        maps = torch.empty(batch_size, 4, frames, *size) if config.control != "isa" else None
        return BodyBatch(
            points=torch.empty(batch_size, people, frames, num_points, 3),
            rest_points=torch.empty(batch_size, people, num_points, 3),
            person_mask=torch.ones(batch_size, people, dtype=torch.bool),
            intrinsics=torch.empty(batch_size, frames, 3, 3),
            world_to_camera=torch.empty(batch_size, frames, 4, 4),
            image_size=size,
            maps=maps,
        )

    keep = torch.ones(batch_size, dtype=torch.bool)
    reference = ReferenceBatch(
        latents=torch.empty(batch_size, 1, config.latent_channels, height, width),
        clip_tokens=torch.empty(batch_size, 1, clip_tokens, config.clip_width),
        body=body(1),
        shown=torch.ones(batch_size, people, 1, dtype=torch.bool),
    )
    background = torch.empty(batch_size, config.latent_channels, latents, height, width)
    return Conditions(background, reference, body(num_frames), keep, keep, keep)


@contextmanager
def kept_for_backward(network: nn.Module) -> Iterator[Counter[int]]:
    """Storage → bytes of what autograd keeps inside, but for weights and attention matrices, which fused kernels make
    again."""
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept: Counter[int] = Counter()
    alive: list[Tensor] = []  # or another tensor would get the number of a storage that is gone
    attention: set[int] = set()

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if "Softmax" in type(tensor.grad_fn).__name__:
            attention.add(storage._cdata)
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept
    for storage in attention:
        del kept[storage]


def _largest_layer(network: ISADiT, given: Conditions) -> int:
    """Bytes that one layer keeps while it is computed again for its gradient."""
    config, (layer, *_) = network.config, network.layers
    tokens = network.condition(given)
    batch, latents = given.background_latents.shape[0], given.background_latents.shape[2]
    z = torch.empty(batch, latents, tokens.camera.shape[2], config.width, requires_grad=True)
    pe_s = torch.empty(z.shape[2], tokens.pe_g.shape[-1])
    with kept_for_backward(network) as kept:
        layer(z, tokens.body, torch.empty(batch, config.width), pe_s, tokens)
    return sum(kept.values())


def parameters_by_part(network: ISADiT) -> dict[str, int]:
    """Blocks of all layers together, by their name in ``ISALayer``; the rest as ``in and out``."""
    parts: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        within = name.split(".")
        parts[within[2] if within[0] == "layers" else "in and out"] += parameter.numel()
    return dict(parts)


def main(
    fit: str,
    num_frames: int = 97,
    size: tuple[int, int] = (512, 512),
    people: int | None = None,
    batch_size: int | None = None,
    gpus: int | None = None,
) -> None:
    """Print what a fit will cost.

    Args:
        fit: configuration of ``pipelines.fit_dit``.
        num_frames: of each clip.
        size: (H, W) of clips in pixels.
        people: in each clip; by default ``data.max_people``.
        batch_size: clips on each GPU; by default the configuration's.
        gpus: by default the configuration's devices × nodes.

    Raises:
        ValueError: if the file is no such configuration, or a clip cannot have that length or size.
    """
    options = OmegaConf.load(fit)
    if not OmegaConf.select(options, "model.config"):
        raise ValueError(f"{fit} has no model.config: give a configuration of pipelines.fit_dit")
    config = ISADiTConfig(**OmegaConf.to_container(options.model.config))  # type: ignore[arg-type]
    trainer, data = options.trainer, options.data
    count = gpus or int(trainer.get("devices", 1)) * int(trainer.get("num_nodes", 1))
    clips = batch_size or data.batch_size
    plan = plan_dit(config, num_frames, size, data.num_points, people or data.max_people, clips)

    total = sum(plan.parameters.values())
    print(f"{fit}: {num_frames} frames of {size[0]}×{size[1]}, {clips} clips on each of {count} GPUs\n")
    for part, number in sorted(plan.parameters.items(), key=lambda item: -item[1]):
        print(f"  {part:16}{number / 1e6:10.1f} M parameters")
    print(f"  {'all':16}{total / 1e6:10.1f} M parameters\n")
    print(f"  {'forward':16}{plan.forward_flops / 1e12:10.2f} TFLOP a batch")
    print(f"  {'training step':16}{plan.step_flops / 1e12:10.2f} TFLOP a GPU\n")
    print(f"  {'GB on a GPU':16}{'weights':>10}{'gradients':>11}{'optimizer':>11}{'activations':>13}{'all':>9}")
    for strategy in SPREAD:
        state = plan.state_bytes(strategy, count)
        row = [*state.values(), plan.activation_bytes / 2]
        cells = "".join(f"{value / 1e9:{width}.1f}" for value, width in zip(row, (10, 11, 11, 13), strict=True))
        print(f"  {strategy:16}{cells}{sum(row) / 1e9:9.1f}")
    print("\nActivations are taken at half of what float32 would need, as most of them are bfloat16 under bf16-mixed.")


if __name__ == "__main__":
    run(main)
