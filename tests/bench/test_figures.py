import pytest

from bench.figures import Bound, Goal, Spread, quantile


def test_a_quantile_is_a_measured_value_and_never_below_its_share() -> None:
    values = [float(value) for value in range(1, 201)]
    assert quantile(values, 0.50) == 100
    assert quantile(values, 0.99) == 198
    assert quantile(values, 1.0) == 200
    assert quantile([7.0], 0.99) == 7


def test_ratios_are_taken_within_each_round() -> None:
    slowed = Spread.of_ratios([80.0, 8.0, 80.0], [10.0, 1.0, 10.0])
    assert (slowed.median, slowed.low, slowed.high) == (8, 8, 8)


def test_rounds_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Spread.of_ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("bound", "median", "is_reached"),
    [("at least", 8.0, True), ("at least", 7.99, False), ("at most", 8.0, True), ("at most", 8.01, False)],
)
def test_a_goal_is_judged_by_the_median(bound: Bound, median: float, *, is_reached: bool) -> None:
    goal = Goal(text="g", bound=bound, wanted=8, measured=Spread(median, 0, 100), unit="x")
    assert goal.is_reached is is_reached
