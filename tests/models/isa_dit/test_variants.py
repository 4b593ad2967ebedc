"""What the ablations leave out is left out, and nothing else is."""

from dataclasses import replace

import pytest
import torch

from models.isa_dit import ISADiT, ISADiTConfig
from models.isa_dit.control2d import ControlBlock
from models.isa_dit.sampling import unconditional

SIZE = {"width": 32, "body_width": 24, "depth": 2, "heads": 2, "body_heads": 2, "num_frequencies": 4}

VARIANTS = {
    "as written": {"nobody": False, "point_identity": False, "place_in_latent": False, "local_start": False},
    "no ispe": {"ispe": False},
    "one way": {"reconstruction": False},
    "no body identity": {"identity_on_body": False},
    "normals": {"control": "normals"},
    "parts": {"control": "parts"},
}


def network(options: dict[str, object]) -> ISADiT:
    """With no layer at zero, so that everything reaches the output."""
    torch.manual_seed(0)
    made = ISADiT(ISADiTConfig(**SIZE, **options)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def with_maps(given):
    torch.manual_seed(5)
    return replace(given, body=replace(given.body, maps=torch.rand(2, 4, 9, *given.body.image_size)))


def velocity(of: ISADiT, given) -> torch.Tensor:
    torch.manual_seed(2)
    with torch.no_grad():
        return of(torch.randn_like(given.background_latents), torch.tensor([0.3, 0.8]), of.condition(given))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("condition", ["body", "reference", "camera"])
def test_every_condition_reaches_the_output(options, condition, make_conditions):
    made, given = network(options), with_maps(make_conditions(2))
    without = replace(given, **{f"keep_{condition}": torch.zeros(2, dtype=torch.bool)})
    difference = velocity(made, given) - velocity(made, without)
    assert difference.isfinite().all()
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_what_is_dropped_leaves_no_trace(options, make_conditions):
    made, given = network(options), with_maps(make_conditions(1))
    maps = given.body.maps
    body = replace(given.body, points=given.body.points + 0.1, intrinsics=given.body.intrinsics * 1.1, maps=maps + 0.1)
    reference = replace(given.reference, latents=given.reference.latents + 1)
    other = replace(given, body=body, reference=reference)
    assert not torch.equal(velocity(made, given), velocity(made, other))
    torch.testing.assert_close(velocity(made, unconditional(given)), velocity(made, unconditional(other)))


def test_without_reconstruction_body_tokens_never_see_the_video(make_conditions):
    given, kept = make_conditions(1), []
    for options in ({"reconstruction": False}, {}):
        made = network(options)
        made.layers[1].isa.register_forward_hook(lambda block, inputs, output: kept.append(inputs[1]))
        tokens = made.condition(given)
        for seed in (0, 1):
            torch.manual_seed(seed)
            made(torch.randn_like(given.background_latents), torch.tensor([0.3, 0.8]), tokens)
    assert torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[2], kept[3])


def test_without_ispe_places_in_the_picture_do_not_matter_to_isa(make_conditions):
    """Permuting the encodings of the points changes nothing but where they are in the picture."""
    given = make_conditions(1)
    for options, equal in (({"ispe": False}, True), ({}, False)):
        made = network(options)
        tokens = made.condition(given)
        moved = replace(tokens, pe_g=tokens.pe_g.flip(2))
        x_t, t = torch.ones_like(given.background_latents), torch.tensor([0.3, 0.8])
        assert torch.equal(made(x_t, t, tokens), made(x_t, t, moved)) == equal


def test_a_control_net_starts_by_adding_nothing():
    block = ControlBlock(32, 24, 2, start_gate=0.0)
    z, y = torch.randn(2, 3, 16, 32), torch.randn(2, 3, 16, 24)
    assert torch.equal(block(z, y, torch.zeros(2, 6, 24))[0], z)


def test_a_control_net_without_pictures_says_how_to_get_them(make_conditions):
    with pytest.raises(ValueError, match=r"--maps.*data.maps=normals"):
        network({"control": "normals"}).condition(make_conditions(1))
