"""The number that lists are ordered by.

A plain mean puts a plugin with one enthusiastic review first. The Bayesian mean starts every plugin with a few
imaginary reviews of average kind, which real ones soon outweigh.
"""

PRIOR_REVIEWS = 5
PRIOR_MEAN = 3.5


def bayesian_mean(total: int, count: int) -> float:
    """Return the mean of ``count`` ratings that add up to ``total`` together with the prior; 0 without a rating."""
    if not count:
        return 0.0
    return (PRIOR_MEAN * PRIOR_REVIEWS + total) / (PRIOR_REVIEWS + count)
