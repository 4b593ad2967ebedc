"""Size and variant of an ISA-DiT: everything that a checkpoint must know to build its network again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass
class ISADiTConfig:
    """Size and variant of the network. The defaults are the tiny preset."""

    latent_channels: int = 16
    patch_size: int = 1
    """Latent pixels along each side of a video token."""
    width: int = 192
    """D. Divisible by ``heads`` into an even head width."""
    body_width: int = 128
    """E."""
    depth: int = 4
    """Layers: one each of the spatial, temporal, body and ISA blocks."""
    heads: int = 4
    body_heads: int = 4
    clip_width: int = 64
    control: Literal["isa", "normals", "parts"] = "isa"
    """What tells the video about bodies: ISA, or pictures of them through a ControlNet (Table 4, ``control2d``)."""
    ispe: bool = True
    """Add the positional encoding in ISA; without it the network has to find out what is where (Table 4)."""
    reconstruction: bool = True
    """Let body tokens look at the video too (Eq. 13); without it ISA only renders (Eq. 14)."""
    identity_on_body: bool = True
    """Put the reference picture onto the body tokens (Eq. 19)."""
    num_frequencies: int = 16
    """Of the ISPE, for each coordinate; 6 channels each."""
    lowest_frequency: float = 0.25 * math.pi
    """Of all positional encodings, in radians a unit of NDC or a metre."""
    highest_frequency: float = 4 * math.pi
    """Of the ISPE, in radians a unit of NDC. About half a period a token: π/2 times the tokens along a side."""
    highest_frequency_per_m: float = 8 * math.pi
    """Of Eq. 8: a period of 25 cm tells the parts of a body apart."""
    ispe_scale: float = 4.0
    """The encoding is multiplied by this: against tokens of unit variance it decides where attention starts."""
    ispe_in_values: bool = False
    """Add the encoding to the values too, as Eq. 12 is printed, rather than to queries and keys alone."""
    merge_frames: bool = True
    """One body token for each point in each latent, made of its four frames, instead of four (Eq. 9): a quarter of the
    body branch's work, which at 256 points a person is as much as the video's otherwise."""
    point_identity: bool = True
    """Add each point's place on the body to Eq. 8."""
    place_in_latent: bool = True
    """Add to Eq. 8 which of its latent's four frames a point is of; of merged ones, whether the latent is the first."""
    nobody: bool = True
    """Let video tokens also look at nobody, so that they can tell how much of them a body covers."""
    local_start: bool = True
    """Initialise ISA so that attention begins near the matching place."""
    start_gate: float = 0.0
    """Initial gate of every residual branch. 0 is adaLN-zero, as in DiT; a fit of few steps gains from open gates."""
    prediction: Literal["flow", "data"] = "flow"
    """What the last layer gives: v itself, or x0, from which v = (x0 - x_t) / t. The flow is the target either way.
    Data lies near a surface of few dimensions and flow, being mostly noise, does not: a narrow network fitted for few
    steps is better at naming the data than at carrying the noise through (Li & He 2025, "Back to Basics"; measured in
    ``benchmarks/tiny_fit.py``)."""
    timestep_shift: float = 1.0
    """s of ``flow.shift_timesteps``, in training and in sampling: 1 at low resolution, 3 at SD3's."""
    checkpoint_layers: bool = False
    """Recompute activations in the backward pass: memory for time."""
