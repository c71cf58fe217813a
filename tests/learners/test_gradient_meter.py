import math

import pytest
import torch

from olrl.learners.gradient_meter import GradientMeter

SHAPES: dict[str, list[tuple[int, ...]]] = {"many small": [(4, 8)] * 12, "few large": [(128, 256), (64,)]}


def weights(shapes: str, dtype: torch.dtype) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(s, generator=generator).to(dtype)) for s in SHAPES[shapes]]
    for weight in made:
        weight.grad = torch.randn(weight.shape, generator=generator).to(dtype)
    return made


def third_step(given: list[torch.nn.Parameter]) -> tuple[GradientMeter, bool]:
    """A meter that has its signals after two finite steps, and what it says of the third."""
    meter = GradientMeter(given)
    for factor in (1.0, 0.5):
        kept = [w.grad for w in given]
        for w in given:
            w.grad = torch.ones_like(w) * factor
        assert meter.before_step(4)
        for w, grad in zip(given, kept, strict=True):
            w.grad = grad
    return meter, meter.before_step(4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shapes", SHAPES)
def test_a_later_step_is_looked_at_and_its_gradients_stay_as_they_are(
    shapes: str, dtype: torch.dtype
) -> None:
    given = weights(shapes, dtype)
    given[0].grad = None  # not reached by this loss
    before = [None if w.grad is None else w.grad.clone() for w in given]
    meter, finite = third_step(given)
    assert finite
    assert meter.norm == pytest.approx(math.sqrt(sum(w.numel() for w in given)))  # of the first
    for w, grad in zip(given, before, strict=True):
        assert (w.grad is None and grad is None) or torch.equal(w.grad, grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shapes", SHAPES)
def test_one_number_that_is_not_finite_is_found(shapes: str, dtype: torch.dtype, bad: float) -> None:
    given = weights(shapes, dtype)
    assert given[-1].grad is not None
    given[-1].grad.view(-1)[-1] = bad
    meter, finite = third_step(given)
    assert not finite
    given[-1].grad.view(-1)[-1] = 0.0
    assert meter.before_step(4)  # what was wrong is not remembered


def test_without_any_gradient_a_step_is_finite() -> None:
    given = weights("many small", torch.float32)
    for w in given:
        w.grad = None
    assert third_step(given)[1]
