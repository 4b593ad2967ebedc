"""What a plan counts, against a network that runs."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.isa_dit import ISADiT, ISADiTConfig
from pipelines.plan import conditions_like, kept_for_backward, main, plan_dit

SIZES = {"width": 48, "body_width": 48, "heads": 2, "body_heads": 2, "num_frequencies": 8}
SHAPE = {"num_frames": 9, "size": (64, 64), "num_points": 32, "people": 2, "batch_size": 2, "clip_tokens": 16}
CONFIGS = Path(__file__).parents[2] / "configs" / "dit"


def run(config: ISADiTConfig):
    """Network, loss and what it kept, for real."""
    torch.manual_seed(0)
    network = ISADiT(config)
    given = conditions_like(config, *SHAPE.values())
    for body in (given.body, given.reference.body):
        body.points.normal_().add_(torch.tensor([0.0, 0, 4]))
        body.rest_points.normal_()
        body.intrinsics.copy_(torch.tensor([[80.0, 0, 32], [0, 80, 32], [0, 0, 1]]))
        body.world_to_camera.copy_(torch.eye(4))
    with kept_for_backward(network) as kept:
        x_t = torch.randn_like(given.background_latents)
        loss = network(x_t, torch.rand(2), network.condition(given)).square().mean()
    return network, loss, kept


def test_parameters_and_memory_of_the_state_are_those_of_a_fit():
    config = ISADiTConfig(**SIZES, depth=2)
    plan, (network, loss, _) = plan_dit(config, **SHAPE), run(config)
    assert sum(plan.parameters.values()) == sum(p.numel() for p in network.parameters())
    loss.backward()
    optimizer = torch.optim.AdamW(network.parameters())
    optimizer.step()
    held = sum(p.nbytes for p in network.parameters() if p.grad is not None)
    state = plan.state_bytes("ddp", gpus=1)
    assert state["weights"] == 2 * sum(p.nbytes for p in network.parameters())  # with their average
    assert state["gradients"] == pytest.approx(held, rel=0.05)
    moments = [t.nbytes for s in optimizer.state.values() for t in s.values() if t.numel() > 1]
    assert state["optimizer"] == pytest.approx(sum(moments), rel=0.05)


@pytest.mark.parametrize("control", ["isa", "normals"])
def test_operations_are_those_of_a_run(control):
    config = ISADiTConfig(**SIZES, depth=2, control=control)
    plan = plan_dit(config, **SHAPE)
    with FlopCounterMode(display=False) as counter, torch.autocast("cpu", torch.bfloat16):  # where attention is plain
        _, loss, _ = run(config)
        forward = counter.get_total_flops()
        loss.backward()
    assert plan.forward_flops == pytest.approx(forward, rel=0.01)
    assert plan.step_flops == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_activations_are_those_that_a_run_keeps():
    config = ISADiTConfig(**SIZES, depth=2)
    _, _, kept = run(config)
    assert plan_dit(config, **SHAPE).activation_bytes == pytest.approx(sum(kept.values()), rel=0.1)


def test_checkpointing_trades_memory_for_operations():
    plain, checkpointed = (
        plan_dit(ISADiTConfig(**SIZES, depth=6, checkpoint_layers=on), **SHAPE) for on in (False, True)
    )
    assert checkpointed.activation_bytes < 0.5 * plain.activation_bytes
    assert checkpointed.step_flops == pytest.approx(plain.step_flops + plain.forward_flops, rel=0.05)
    assert checkpointed.forward_flops == plain.forward_flops


def test_the_papers_network_fits_a_gpu_of_80_gb_under_zero_2_but_not_under_ddp(capsys):
    main(str(CONFIGS / "paper_4b.yaml"), people=1)
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert 3800 < float(rows["all"][1]) < 4600
    assert float(rows["zero_3"][-1]) < float(rows["zero_2"][-1]) < 80 < float(rows["ddp"][-1])


def test_a_configuration_without_a_network_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("trainer: {}\n")
    with pytest.raises(ValueError, match=r"no model\.config"):
        main(str(tmp_path / "c.yaml"))
