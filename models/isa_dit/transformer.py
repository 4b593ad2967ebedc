"""ISA-DiT (Sec. 5.3), laid out as Fig. 8: conditions become tokens once, then the branches run side by side.

Shape legend: ``B`` batch, ``c`` latent channels, ``f h w`` latents, ``S`` video tokens a latent, ``D`` their width,
``F`` frames, ``K`` body points of all people, ``E`` width of the body branch, ``L W`` CLIP tokens.
"""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models import flow
from models.batch import BodyBatch, Conditions
from models.geometry import pixels_to_ndc
from models.isa_dit.blocks import ISALayer
from models.isa_dit.body_tokens import BodyTokens, ndc_points, point_mask
from models.isa_dit.camera import CameraTokens
from models.isa_dit.config import ISADiTConfig
from models.isa_dit.control2d import ControlTokens
from models.isa_dit.identity import ReferenceOnBody
from models.isa_dit.ispe import SinusoidalEncoding
from models.isa_dit.layers import AdaLN
from models.isa_dit.tokens import ConditionTokens, NullWhereDropped
from models.timeline import group_by_latent


class TimeEmbedding(nn.Module):
    """Sinusoidal embedding of t, then two layers, as in SD3."""

    def __init__(self, width: int, frequencies: int = 128) -> None:
        super().__init__()
        self.register_buffer("frequencies", 1000 * 1e-4 ** (torch.arange(frequencies) / frequencies), persistent=False)
        self.frequencies: Tensor
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, t: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
        angle = t.float()[:, None] * self.frequencies
        return self.mlp(torch.cat([angle.cos(), angle.sin()], dim=-1).to(next(self.mlp.parameters()).dtype))


class ISADiT(nn.Module):
    """Predicts the flow v = x0 - ε of noisy latents, given bodies, a reference picture, a camera and a background."""

    def __init__(self, config: ISADiTConfig) -> None:
        super().__init__()
        self.config = config
        width, body_width, patch = config.width, config.body_width, config.patch_size
        self.ispe = SinusoidalEncoding(config.num_frequencies, config.lowest_frequency, config.highest_frequency)
        self.control_tokens: ControlTokens | None = None
        self.reference_on_body: ReferenceOnBody | None = None
        if config.control == "isa":
            self.body_tokens = BodyTokens(config)
            if config.identity_on_body:
                self.reference_on_body = ReferenceOnBody(config.latent_channels, body_width)
        else:
            self.control_tokens = ControlTokens(body_width, patch)
            self.null_control = NullWhereDropped(body_width)
        self.camera_tokens = CameraTokens(width, patch)
        self.null_camera = NullWhereDropped(width)
        self.null_clip = NullWhereDropped(config.clip_width)
        self.time = TimeEmbedding(width)
        self.patchify = nn.Linear(3 * config.latent_channels * patch**2, width)
        self.position = nn.Linear(self.ispe.channels, width, bias=False)
        self.layers = nn.ModuleList(
            ISALayer(config, self.ispe.channels, last=layer == config.depth - 1) for layer in range(config.depth)
        )
        for module in self.layers.modules():
            if isinstance(module, AdaLN):
                module.open_gates(config.start_gate)
        self.final_norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.final_modulation = nn.Linear(width, 2 * width)
        self.unpatchify = nn.Linear(width, config.latent_channels * patch**2)
        for layer in (self.final_modulation, self.unpatchify):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def inner_linears(self) -> list[nn.Linear]:
        """The linear layers between tokens and tokens: all of the blocks' but those that read the timestep."""
        modulations = {linear for layer in self.layers for linear in (layer.modulation_z, layer.modulation_y)}
        return [m for m in self.layers.modules() if isinstance(m, nn.Linear) and m not in modulations]

    def condition(self, given: Conditions) -> ConditionTokens:
        """Everything that does not depend on the noisy latents or on t."""
        body, reference = given.body, given.reference
        frames = given.background_latents.shape[2]
        z_ref = reference.latents.mean(dim=1) * given.keep_reference[:, None, None, None]
        clip = rearrange(reference.clip_tokens, "B R L W -> B (R L) W")
        return ConditionTokens(
            body=self._body_tokens(given),
            body_mask=point_mask(body) & given.keep_body[:, None],
            pe_g=self._encode_places(body),
            camera=self.null_camera(self.camera_tokens(body), given.keep_camera),  # Eq. 22
            clip=self.null_clip(clip, given.keep_reference),
            beside=torch.cat([repeat(z_ref, "B c h w -> B c f h w", f=frames), given.background_latents], dim=1),
        )

    def _encode_places(self, body: BodyBatch) -> Float[Tensor, "B n K C"]:
        """Eq. 10. A token of four frames has the mean of its places' encodings: the less sure, the further it moves."""
        encoded = self.config.ispe_scale * self.ispe(ndc_points(body))
        return group_by_latent(encoded).mean(dim=2) if self.config.merge_frames else encoded

    def _body_tokens(self, given: Conditions) -> Tensor:
        if self.control_tokens is not None:
            if given.body.maps is None:
                raise ValueError(
                    f"control={self.config.control!r} needs pictures of the bodies (BodyBatch.maps): cache latents "
                    f"with --maps true and read them with data.maps={self.config.control}"
                )
            return self.null_control(self.control_tokens(given.body.maps), given.keep_body)
        tokens = self.body_tokens(given.body)  # Eq. 8
        if self.reference_on_body is None:
            return tokens
        on_body = self.reference_on_body(given.reference) * given.keep_reference[:, None, None]
        return tokens + on_body[:, None]  # Eq. 19

    def forward(
        self, x_t: Float[Tensor, "B c f h w"], t: Float[Tensor, " B"], tokens: ConditionTokens
    ) -> Float[Tensor, "B c f h w"]:
        """The flow at ``x_t``, with ``t`` in [0, 1] (1 is noise) and ``tokens`` from ``condition``."""
        patch = self.config.patch_size
        height, width = x_t.shape[-2] // patch, x_t.shape[-1] // patch
        place = self.ispe(rearrange(pixels_to_ndc(height, width, x_t.device), "h w xyz -> (h w) xyz"))
        pe_s = self.config.ispe_scale * place  # Eq. 11

        x = torch.cat([x_t, tokens.beside.to(x_t.dtype)], dim=1)  # Eq. 20
        x = rearrange(x, "B c f (h p) (w q) -> B f (h w) (c p q)", p=patch, q=patch)
        z = self.patchify(x) + self.position(place.to(x.dtype))
        y, time = tokens.body, self.time(t)
        for layer in self.layers:
            if self.config.checkpoint_layers and self.training:
                z, y = checkpoint(layer, z, y, time, pe_s, tokens, use_reentrant=False)
            else:
                z, y = layer(z, y, time, pe_s, tokens)

        shift, scale = self.final_modulation(time)[:, None, None].chunk(2, dim=-1)
        out = rearrange(
            self.unpatchify(self.final_norm(z) * (1 + scale) + shift),
            "B f (h w) (c p q) -> B c f (h p) (w q)",
            h=height,
            p=patch,
            q=patch,
            c=self.config.latent_channels,
        )
        if self.config.prediction == "flow":
            return out
        return flow.velocity_from_data(x_t, out, t)
