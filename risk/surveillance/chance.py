"""How likely a count is if nobody planned it: the tails of the two distributions that counts of meetings follow."""

from math import exp, lgamma, log, log1p


def poisson_tail(*, count: int, expected: float) -> float:
    """The probability of `count` events or more where `expected` (above 0) come by chance."""
    if count <= 0:
        return 1.0
    if count <= expected:
        return min(1.0, 1.0 - sum(_poisson(number, expected) for number in range(count)))
    total, term, number = 0.0, _poisson(count, expected), count
    while term > total * 1e-12:
        total += term
        number += 1
        term *= expected / number
    return min(1.0, total)


def binomial_tail(*, count: int, trials: int, chance: float) -> float:
    """The probability of `count` successes or more in `trials`, each succeeding with `chance` (between 0 and 1)."""
    if count <= 0 or chance >= 1:
        return 1.0
    if chance <= 0 or count > trials:
        return 0.0
    ways = lgamma(trials + 1) - lgamma(count + 1) - lgamma(trials - count + 1)
    term = exp(ways + count * log(chance) + (trials - count) * log1p(-chance))
    total, odds = 0.0, chance / (1 - chance)
    for hits in range(count, trials + 1):
        total += term
        term *= (trials - hits) / (hits + 1) * odds
    return min(1.0, total)


def _poisson(count: int, expected: float) -> float:
    return exp(count * log(expected) - expected - lgamma(count + 1))
