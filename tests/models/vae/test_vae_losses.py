"""The terms of Eq. 1–2, and that each side of the adversarial game trains only itself."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import vgg16

from models.vae.discriminator import PatchDiscriminator
from models.vae.frame_decoder import FrameDecoder
from models.vae.losses import PerceptualLoss, adversarial_terms, frame_loss, hinge_discriminator, hinge_generator


def test_hinge_terms() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    # real: max(0, 1 - 2) = 0 and 0.5; fake: max(0, 1 - 3) = 0 and 1
    assert hinge_discriminator(real, fake).item() == pytest.approx(0.5 * (0.25 + 0.5))
    assert hinge_generator(fake).item() == pytest.approx(1.5)


def test_each_sub_latent_decodes_its_own_frame() -> None:
    decoder = FrameDecoder(16, (16, 8), norm_groups=4).requires_grad_(False)
    latents = torch.randn(1, 16, 3, 2, 2)
    frames = decoder(latents)
    assert frames.shape == (1, 3, 4, 3, 16, 16)
    changed = latents.clone()
    changed[:, 8:12, 1] += 1  # the third of four sub-latents, of latent 1
    differs = (decoder(changed) != frames).flatten(3).any(-1)[0]
    expected = torch.zeros(3, 4, dtype=torch.bool)
    expected[1, 2] = True
    assert torch.equal(differs, expected)


def test_frame_loss_is_zero_for_the_frames_of_the_timeline() -> None:
    video = torch.randn(1, 3, 9, 8, 8)
    first, rest = video[:, :, :1].expand(-1, -1, 4, -1, -1), video[:, :, 1:]
    frames = torch.cat([first, rest], dim=2).transpose(1, 2).unflatten(1, (3, 4))
    assert frame_loss(frames, video) == 0
    assert frame_loss(frames.flip(2), video) > 0.1


@pytest.mark.parametrize("time_kernel", [1, 3])
def test_adversarial_gradients_stay_on_their_side(time_kernel: int) -> None:
    discriminator = PatchDiscriminator((8, 16), time_kernel, norm_groups=4)
    video = torch.rand(2, 3, 5, 16, 16)
    generator = nn.Conv3d(3, 3, 1)
    theirs, ours = list(discriminator.parameters()), list(generator.parameters())

    def gradients(which: str) -> tuple[bool, bool]:
        terms = adversarial_terms(discriminator, video, generator(video))
        loss = {"generator": terms[0], "discriminator": terms[1]}[which]
        found = torch.autograd.grad(loss, ours + theirs, allow_unused=True)
        return any(g is not None for g in found[: len(ours)]), any(g is not None for g in found[len(ours) :])

    assert gradients("generator") == (True, False)
    assert gradients("discriminator") == (False, True)


def test_one_backward_pass_equals_two_separate_ones() -> None:
    discriminator = PatchDiscriminator((8, 16), 3, norm_groups=4)
    generator, video = nn.Conv3d(3, 3, 1), torch.rand(2, 3, 5, 16, 16)
    sum(adversarial_terms(discriminator, video, generator(video))).backward()
    fake = generator(video)
    alone = torch.autograd.grad(hinge_generator(discriminator(fake)), list(generator.parameters()))
    torch.testing.assert_close([p.grad for p in generator.parameters()], list(alone))
    loss = hinge_discriminator(discriminator(video), discriminator(fake.detach()))
    alone = torch.autograd.grad(loss, list(discriminator.parameters()))
    torch.testing.assert_close([p.grad for p in discriminator.parameters()], list(alone))


def test_frame_discriminator_judges_frames_alone_and_the_other_does_not() -> None:
    video = torch.rand(1, 3, 5, 16, 16)
    changed = video.clone()
    changed[:, :, 2] += 1
    frames = PatchDiscriminator((8, 16), 1, norm_groups=4)
    differs = (frames(video) != frames(changed)).flatten(1).any(-1)
    assert differs.tolist() == [False, False, True, False, False]
    clips = PatchDiscriminator((8, 16), 3, norm_groups=4)
    assert (clips(video) != clips(changed)).flatten(3).any(-1).all()
    assert clips(video[:, :, :1]).isfinite().all()


@pytest.mark.parametrize("time_kernel", [1, 3])
@pytest.mark.parametrize("num_frames", [1, 5, 9])
def test_gradients_in_bfloat16_are_finite(time_kernel: int, num_frames: int) -> None:
    torch.manual_seed(0)
    for _ in range(25):
        discriminator = PatchDiscriminator((16, 32, 64), time_kernel)
        video = torch.rand(2, 3, num_frames, 32, 32)
        fake = (video + 0.1).requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16):
            sum(adversarial_terms(discriminator, video, fake)).backward()
        assert all(p.grad.isfinite().all() and p.grad.abs().max() < 1e3 for p in (fake, *discriminator.parameters()))


def test_discriminator_wants_a_known_kernel() -> None:
    with pytest.raises(ValueError, match="not 5"):
        PatchDiscriminator(time_kernel=5)


def test_perceptual_loss_needs_the_weights_of_its_network(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no VGG-16 weights at nowhere: download them from https.* or AlexNet's from"):
        PerceptualLoss("nowhere")
    for wrong in (b"<html>not found</html>", b"hello", b""):
        (tmp_path / "page.pth").write_bytes(wrong)
        with pytest.raises(ValueError, match=r"page.pth cannot be read: it is no file of torch.save, or was cut short"):
            PerceptualLoss(tmp_path / "page.pth")
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="is no VGG-16 of torchvision"):
        PerceptualLoss(tmp_path / "other.pth")


def test_perceptual_loss_runs_the_given_backbone(tmp_path: Path) -> None:
    backbone = vgg16(weights=None).eval().requires_grad_(False)
    backbone.classifier = nn.Identity()  # 0.5 GB that LPIPS does not use
    torch.save(backbone.state_dict(), tmp_path / "vgg16.pth")
    loss = PerceptualLoss(tmp_path / "vgg16.pth").train()
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    shift, scale = loss.net.scaling_layer.shift, loss.net.scaling_layer.scale
    torch.testing.assert_close(loss.net.net((image - shift) / scale)[1], backbone.features[:9]((image - shift) / scale))
    video = image[:, :, None]
    assert loss(video, video) == 0
    assert loss(video, -video) > 0
    assert not any(m.training for m in loss.modules())
