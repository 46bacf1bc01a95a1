"""Seeded weights on networks small enough to settle in a blink."""

from dataclasses import replace

import numpy as np
import pytest

from deltann.core.recipes import NAMED_RECIPES
from deltann.zoo.seeding import IMAGES, SCORE_SPREAD, SETTLED_BITS, Dice, centred, settled

RECIPE = replace(NAMED_RECIPES["torchvision"], size=20)


def test_images_are_what_the_recipe_makes_of_pixels():
    images = Dice(0).images(RECIPE)
    assert images.shape == (IMAGES, 3, 20, 20)
    pixels = images * np.reshape(RECIPE.std, (3, 1, 1)) + np.reshape(RECIPE.mean, (3, 1, 1))
    np.testing.assert_allclose(pixels, np.round(pixels), atol=1e-9)
    assert 0 <= pixels.min() < 60 < 190 < pixels.max() <= 255
    assert Dice(0).images(replace(RECIPE, layout="NHWC")).shape == (IMAGES, 20, 20, 3)


def test_settled_values_have_few_bits_and_hide_what_rounding_does():
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-5, 5).repeat(100)
    rounded = settled(values)
    np.testing.assert_allclose(rounded, values, rtol=2.0**-SETTLED_BITS)
    assert (settled(values * (1 + 1e-13)) == rounded).all()
    assert (settled(rounded) == rounded).all()
    assert settled(np.zeros(3)).tolist() == [0, 0, 0]


def test_scores_are_centred_and_spread():
    random = np.random.default_rng(0)
    features, kernel = random.uniform(0, 1, (IMAGES, 30)) + 5, random.normal(size=(30, 10))
    kernel, bias = centred(features, kernel)
    scores = features @ kernel + bias
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-9)
    assert scores.std() == pytest.approx(SCORE_SPREAD)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


def small_net(torch):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, bias=False),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        torch.nn.BatchNorm2d(6),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(6, 10),
    )


def state_of(torch, seed):
    from deltann.zoo.torch_networks import seed_weights

    net = small_net(torch)
    seed_weights(net, RECIPE, seed)
    return net


def test_the_seed_decides_and_nothing_else(torch):
    one, torch_seed_differs, other = (state_of(torch, seed).state_dict() for seed in (1, 1, 2))
    assert all((one[key] == torch_seed_differs[key]).all() for key in one)
    assert not (one["0.weight"] == other["0.weight"]).all()
    assert {value.dtype for key, value in one.items() if "num_batches" not in key} == {torch.float32}


def test_statistics_are_those_of_the_pass(torch):
    net = state_of(torch, 3)
    assert not net.training
    assert not any(part.training for part in net.modules())
    dice = Dice(3)
    for part in small_net(torch).modules():  # the stream of numbers stands where the images begin
        for name, value in part.named_parameters(recurse=False):
            if isinstance(part, torch.nn.BatchNorm2d) and name == "weight":
                dice.gamma(value.shape)
            else:
                dice.bias(value.shape)
    images = torch.from_numpy(dice.images(RECIPE)).float()
    with torch.inference_mode():
        after = net[:2](images)
    gamma, beta = net[1].weight, net[1].bias
    torch.testing.assert_close(after.mean((0, 2, 3)), beta.detach(), atol=2e-3, rtol=0)
    torch.testing.assert_close(after.std((0, 2, 3)), gamma.detach(), atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("padding", [0, 1, (2, 1)])
@pytest.mark.parametrize("stride", [1, 2, (1, 2)])
@pytest.mark.parametrize("size", [7, 8])
def test_depthwise_convolutions_shift_by_shift_are_torchs_own(torch, padding, stride, size):
    from deltann.zoo.torch_networks import shifted_sums

    random = torch.Generator().manual_seed(0)
    images = torch.randn(2, 4, size, size, dtype=torch.double, generator=random)
    kernel = torch.randn(4, 1, 3, 3, dtype=torch.double, generator=random)
    own = torch.nn.functional.conv2d(images, kernel, None, stride, padding, 1, 4)
    with shifted_sums():
        ours = torch.nn.functional.conv2d(images, kernel, stride=stride, padding=padding, groups=4)
    torch.testing.assert_close(ours, own)
    assert ours.shape == own.shape
