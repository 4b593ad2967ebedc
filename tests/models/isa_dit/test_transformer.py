"""The whole network: what must not change the video, and what must."""

from dataclasses import replace

import pytest
import torch

from models.batch import BodyBatch, Conditions
from models.isa_dit import ISADiT, ISADiTConfig
from models.isa_dit.sampling import unconditional


def velocity(network: ISADiT, given: Conditions) -> torch.Tensor:
    torch.manual_seed(2)
    x_t = torch.randn_like(given.background_latents)
    with torch.no_grad():
        return network(x_t, torch.tensor([0.3, 0.8]), network.condition(given))


def map_people(body: BodyBatch, order: list[int]) -> BodyBatch:
    return replace(
        body,
        points=body.points[:, order],
        rest_points=body.rest_points[:, order],
        person_mask=body.person_mask[:, order],
    )


def with_people(given: Conditions, order: list[int]) -> Conditions:
    shown = given.reference.shown[:, order]
    reference = replace(given.reference, body=map_people(given.reference.body, order), shown=shown)
    return replace(given, body=map_people(given.body, order), reference=reference)


def test_permuting_people_leaves_the_video_unchanged(tiny, make_conditions):
    given = make_conditions(3)
    torch.testing.assert_close(velocity(tiny, given), velocity(tiny, with_people(given, [2, 0, 1])))


def test_padded_people_change_nothing(tiny, make_conditions):
    given = make_conditions(2)
    alone = with_people(given, [0])
    padded = replace(given, body=replace(given.body, person_mask=torch.tensor([[True, False]] * 2)))
    reference_body = replace(given.reference.body, person_mask=torch.tensor([[True, False]] * 2))
    padded = replace(padded, reference=replace(given.reference, body=reference_body))
    torch.testing.assert_close(velocity(tiny, alone), velocity(tiny, padded))


def test_permuting_surface_points_leaves_the_video_unchanged(tiny, make_conditions):
    given = make_conditions(1)
    order = torch.randperm(given.body.points.shape[3])

    def shuffled(body: BodyBatch) -> BodyBatch:
        return replace(body, points=body.points[:, :, :, order], rest_points=body.rest_points[:, :, order])

    reference = replace(given.reference, body=shuffled(given.reference.body))
    permuted = replace(given, body=shuffled(given.body), reference=reference)
    torch.testing.assert_close(velocity(tiny, given), velocity(tiny, permuted))


@pytest.mark.parametrize("condition", ["body", "reference", "camera", "background"])
def test_every_condition_reaches_the_output(tiny, make_conditions, condition):
    given = make_conditions(1)
    nothing = torch.zeros(2, dtype=torch.bool)
    if condition == "background":
        without = replace(given, background_latents=torch.zeros_like(given.background_latents))
    else:
        without = replace(given, **{f"keep_{condition}": nothing})
    assert (velocity(tiny, given) - velocity(tiny, without)).abs().max() > 1e-3


def test_what_is_dropped_leaves_no_trace(tiny, make_conditions):
    """With everything dropped, other bodies, pictures and camera paths give exactly the same flow."""
    given = make_conditions(1)
    body = replace(given.body, points=given.body.points + 0.1, intrinsics=given.body.intrinsics * 1.1)
    reference = replace(
        given.reference, latents=given.reference.latents + 1, clip_tokens=given.reference.clip_tokens + 1
    )
    other = replace(given, body=body, reference=reference)
    assert not torch.equal(velocity(tiny, given), velocity(tiny, other))
    torch.testing.assert_close(velocity(tiny, unconditional(given)), velocity(tiny, unconditional(other)))


def test_the_network_starts_at_zero_flow(make_conditions):
    network = ISADiT(ISADiTConfig(width=96, body_width=96, depth=1))
    assert velocity(network, make_conditions(1)).abs().max() == 0


def test_a_motion_backwards_is_another_motion(tiny, make_conditions):
    """The four frames of a latent have an order: the set of their points alone would be the same."""
    given = make_conditions(1)
    for block in tiny.layers:  # attention through time would tell them apart as well
        block.body_temporal.forward = lambda y, modulation: y
    still = replace(given.body, world_to_camera=given.body.world_to_camera[:, :1].expand(-1, 9, -1, -1))
    backwards = replace(still, points=still.points[:, :, [0, 4, 3, 2, 1, 8, 7, 6, 5]])
    change = velocity(tiny, replace(given, body=backwards)) - velocity(tiny, replace(given, body=still))
    assert change.abs().max() > 1e-4


def test_a_merged_token_looks_from_the_mean_of_its_places(make_conditions):
    """Where a point stands still that is the encoding of its place."""
    sizes = {"width": 32, "body_width": 24, "depth": 1, "heads": 2, "body_heads": 2, "num_frequencies": 4}
    given = make_conditions(1)
    merged, every = (ISADiT(ISADiTConfig(**sizes, merge_frames=merge)).condition(given) for merge in (True, False))
    assert merged.body.shape[:3] == (2, 3, 10)
    assert every.body.shape[:3] == (2, 9, 10)
    torch.testing.assert_close(merged.pe_g[:, 0], every.pe_g[:, 0])  # latent 0 is frame 0
    torch.testing.assert_close(merged.pe_g[:, 2], every.pe_g[:, 5:9].mean(dim=1))


def test_a_predicted_x0_becomes_the_flow_that_leads_to_it(make_conditions):
    network = ISADiT(ISADiTConfig(width=96, body_width=96, depth=1, prediction="data"))
    torch.nn.init.constant_(network.unpatchify.bias, 0.25)  # the last layer begins at zero: x0 is 0.25 everywhere
    given = make_conditions(1)
    torch.manual_seed(2)
    x_t, t = torch.randn_like(given.background_latents), torch.tensor([0.3, 0.8])
    x0 = x_t + t[:, None, None, None, None] * velocity(network, given)
    torch.testing.assert_close(x0, torch.full_like(x0, 0.25))


def test_checkpointing_gives_the_same_gradients(tiny, make_conditions):
    given = make_conditions(1)

    def gradients(on: bool) -> list[torch.Tensor]:
        tiny.config.checkpoint_layers = on
        tiny.train().zero_grad()
        x_t = torch.ones_like(given.background_latents)
        tiny(x_t, torch.tensor([0.3, 0.8]), tiny.condition(given)).square().sum().backward()
        return [p.grad.clone() for p in tiny.parameters() if p.grad is not None]

    for plain, recomputed in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_encoding_wider_than_a_branch_is_refused():
    with pytest.raises(ValueError, match="fewer frequencies"):
        ISADiT(ISADiTConfig(width=64, body_width=32, num_frequencies=16))
