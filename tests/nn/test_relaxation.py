"""groupnas.nn.relaxation: exact masks, gradients as derived by hand, draws as often as promised."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from groupnas.nn import RELAXATIONS

HARD = ["gumbel_hard", "softmax_hard", "flgc"]
LOGITS = torch.tensor([[0.3, -1.2, 0.9], [2.0, 0.5, -0.7]], dtype=torch.float64)
UPSTREAM = torch.tensor([[0.7, -0.4, 1.1], [-0.2, 1.3, 0.6]], dtype=torch.float64)


def gradient(name: str, temperature: float, seed: int = 0) -> Tensor:
    """dL/dlogits of L = sum(UPSTREAM * mask)."""
    logits = LOGITS.clone().requires_grad_()
    torch.manual_seed(seed)
    (RELAXATIONS[name](logits, temperature) * UPSTREAM).sum().backward()
    assert logits.grad is not None
    return logits.grad


def softmax_gradient(scores: Tensor, temperature: float) -> Tensor:
    """g_i (diag(p_i) - p_i p_i^T) / T, row by row."""
    p = torch.softmax(scores / temperature, dim=1)
    rows = [
        g @ (torch.diag(q) - torch.outer(q, q)) / temperature
        for g, q in zip(UPSTREAM, p, strict=True)
    ]
    return torch.stack(rows)


def gumbel_noise(seed: int) -> Tensor:
    """-ln(E) of exponential draws: what F.gumbel_softmax adds to the logits."""
    torch.manual_seed(seed)
    return -torch.empty_like(LOGITS).exponential_().log()


@pytest.mark.parametrize("name", HARD)
@given(
    logits=st.lists(
        st.lists(st.floats(-30, 30, width=32), min_size=3, max_size=3), min_size=1, max_size=6
    ),
    temperature=st.floats(0.05, 20),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
)
def test_hard_masks_are_exactly_one_hot(
    name: str, logits: list[list[float]], temperature: float, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    mask = RELAXATIONS[name](torch.tensor(logits, dtype=dtype), temperature)
    assert mask.dtype == dtype
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert mask.sum(dim=1).eq(1).all()


@pytest.mark.parametrize("name", HARD)
def test_equal_logits_still_choose_one_group(name: str) -> None:
    mask = RELAXATIONS[name](torch.ones(50, 4), 1.0)
    assert mask.sum(dim=1).eq(1).all()


@pytest.mark.parametrize("name", ["softmax_hard", "flgc"])
def test_the_likeliest_group_is_taken_without_a_draw(name: str) -> None:
    state = torch.get_rng_state()
    mask = RELAXATIONS[name](LOGITS, 0.3)
    assert mask.argmax(dim=1).tolist() == [2, 0]
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_gradient_of_flgc_enters_at_the_chosen_entry_alone(temperature: float) -> None:
    p = torch.softmax(LOGITS / temperature, dim=1)
    expected = torch.zeros_like(LOGITS)
    for i, best in enumerate([2, 0]):
        for j in range(3):
            delta = float(j == best)
            expected[i, j] = UPSTREAM[i, best] * p[i, best] * (delta - p[i, j]) / temperature
    torch.testing.assert_close(gradient("flgc", temperature), expected)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_gradient_of_softmax_is_its_jacobian(temperature: float) -> None:
    expected = softmax_gradient(LOGITS, temperature)
    torch.testing.assert_close(gradient("softmax_hard", temperature), expected)


@pytest.mark.parametrize("name", ["gumbel_hard", "gumbel_soft"])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_gradient_of_gumbel_is_that_of_the_soft_sample(name: str, temperature: float) -> None:
    expected = softmax_gradient(LOGITS + gumbel_noise(seed=5), temperature)
    torch.testing.assert_close(gradient(name, temperature, seed=5), expected)


@pytest.mark.parametrize(("name", "hard"), [("gumbel_hard", True), ("gumbel_soft", False)])
def test_gumbel_is_what_pytorch_draws(name: str, hard: bool) -> None:
    torch.manual_seed(5)
    logits = LOGITS.clone().requires_grad_()
    theirs = F.gumbel_softmax(logits, tau=0.7, hard=hard)
    (theirs * UPSTREAM).sum().backward()
    torch.manual_seed(5)
    torch.testing.assert_close(RELAXATIONS[name](LOGITS, 0.7), theirs.detach())
    torch.testing.assert_close(gradient(name, 0.7, seed=5), logits.grad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", RELAXATIONS)
@pytest.mark.parametrize("temperature", [1e-5, 1.0])
def test_no_draw_is_anything_but_finite(
    name: str, dtype: torch.dtype, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the ends of what the exponential distribution may give in any of these."""
    drawn: list[torch.dtype] = []

    def exponential(noise: torch.Tensor) -> torch.Tensor:
        drawn.append(noise.dtype)
        return noise.copy_(torch.tensor([0.0, 1e-45, 6e-8, 104.0]).expand_as(noise))

    monkeypatch.setattr(torch.Tensor, "exponential_", exponential)
    logits = torch.tensor([[1.0, 0.0, -3.0, 2.0], [0.0, 9.0, 9.0, 0.0]], dtype=dtype)
    logits.requires_grad_()
    mask = RELAXATIONS[name](logits, temperature)
    (mask * torch.arange(4)).sum().backward()
    assert mask.isfinite().all() and logits.grad is not None and logits.grad.isfinite().all()
    assert mask.dtype == dtype and mask.sum(dim=1).eq(1).all()
    assert all(kind in (torch.float32, torch.float64) for kind in drawn)


def test_sixteen_bits_draw_what_float32_draws() -> None:
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(1)).half()
    drawn = []
    for given_logits in (logits, logits.float()):
        torch.manual_seed(2)
        drawn.append(RELAXATIONS["gumbel_hard"](given_logits, 0.5).float())
    assert torch.equal(*drawn)


def test_soft_masks_are_mixtures() -> None:
    mask = RELAXATIONS["gumbel_soft"](LOGITS.repeat(50, 1), 1.0)
    assert (mask > 0).all()
    torch.testing.assert_close(mask.sum(dim=1), torch.ones(100, dtype=torch.float64))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_groups_are_drawn_as_often_as_the_softmax_says(temperature: float) -> None:
    """Pearson's chi-square; the temperature shapes gradients and never the draws."""
    logits, draws = torch.tensor([1.0, 0.0, -1.0, 0.5]), 20_000
    torch.manual_seed(3)
    seen = RELAXATIONS["gumbel_hard"](logits.expand(draws, 4), temperature).sum(dim=0)
    expected = draws * torch.softmax(logits, dim=0)
    chi_square = ((seen - expected) ** 2 / expected).sum()
    assert chi_square < 16.27  # exceeded once in 1,000 seeds: three degrees of freedom


@pytest.mark.parametrize("entry", RELAXATIONS.values(), ids=RELAXATIONS)
def test_every_entry_says_what_it_is(entry: object) -> None:
    for text in (entry.summary, entry.source):  # type: ignore[attr-defined]
        assert text and "\n" not in text
