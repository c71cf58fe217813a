import math

import pytest

from olrl.agents.rivals.search import CMASearch, LadderSearch, OptunaSearch, Search
from olrl.agents.rivals.space import Choice, LogUniform, Uniform

SPACE = {
    "lr": LogUniform(low=1e-4, high=1e-1),
    "window": Choice(options=(1, 4, 16)),
    "p": Uniform(low=0, high=1),
}


def loss(settings: dict[str, float]) -> float:
    return abs(math.log10(settings["lr"]) + 2) + abs(settings["window"] - 4) / 10 + abs(settings["p"] - 0.3)


def proposals(search: Search, count: int) -> list[dict[str, float]]:
    made = []
    for _ in range(count):
        settings = search.ask()
        assert settings is not None, "these searches have no end"
        made.append(settings)
        search.tell(loss(settings))
    return made


def test_the_same_seed_and_losses_give_the_same_proposals() -> None:
    assert proposals(OptunaSearch(SPACE, seed=1), 25) == proposals(OptunaSearch(SPACE, seed=1), 25)
    assert proposals(OptunaSearch(SPACE, seed=1), 3) != proposals(OptunaSearch(SPACE, seed=2), 3)


def test_what_is_known_already_is_learned_from() -> None:
    good = {"lr": 0.01, "window": 4, "p": 0.3}
    search = OptunaSearch(SPACE, seed=0, sampler="gp", startup=1)
    search.know(good, loss(good))
    search.know({"lr": 1e-4, "window": 16, "p": 1.0}, 3.9)
    uninformed = OptunaSearch(SPACE, seed=0, sampler="gp", startup=1)
    assert min(map(loss, proposals(search, 4))) < min(map(loss, proposals(uninformed, 4)))


def test_it_learns_from_what_it_is_told() -> None:
    made = [loss(settings) for settings in proposals(OptunaSearch(SPACE, seed=0), 60)]
    assert sum(made[40:]) / 20 < 0.6 * sum(made[:10]) / 10


def test_a_loss_that_is_not_finite_does_not_end_a_search() -> None:
    for search in (OptunaSearch(SPACE, seed=0), CMASearch("w", (0.0, 0.0), step=0.3, seed=0)):
        for _ in range(8):
            search.ask()
            search.tell(math.nan)
        assert search.ask()


def test_evolution_walks_towards_less_loss() -> None:
    search = CMASearch("w", (1.0, 1.0, 1.0), step=0.3, seed=0)
    far = []
    for _ in range(200):
        weights = search.ask()["w"]
        far.append(sum(w * w for w in weights))
        search.tell(far[-1])
    assert sum(far[-10:]) / 10 < 0.1


def test_a_ladder_search_asks_for_no_point_twice_and_ends_at_the_best() -> None:
    search = LadderSearch({"lr": range(6), "window": range(6)}, start={"lr": 0, "window": 5})
    asked = []
    while (point := search.ask()) is not None:
        asked.append((point["lr"], point["window"]))
        search.tell(abs(point["lr"] - 4) + abs(point["window"] - 1))
    assert search.best == {"lr": 4, "window": 1}
    assert len(asked) == len(set(asked)) == search.tried


@pytest.mark.parametrize("make", [lambda: LogUniform(low=0, high=1), lambda: Uniform(low=2, high=1)])
def test_a_range_out_of_order_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match="in order"):
        make()  # type: ignore[operator] # a maker
