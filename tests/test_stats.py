"""The statistics say what SciPy's exact ones say, though they need none of it."""

import pytest
from scipy.stats import binomtest

from errata.programs.stats import mcnemar, wilson


@pytest.mark.parametrize("n", [1, 2, 7, 40, 301, 4_999, 5_001, 20_000])
def test_the_mcnemar_test_is_the_exact_binomial_test(n):
    for fixed in {0, 1, n // 3, n // 2 - 2, n // 2, n - 1, n}:
        if 0 <= fixed <= n:
            assert mcnemar(fixed, n - fixed) == pytest.approx(binomtest(fixed, n).pvalue, rel=1e-10, abs=1e-300)


def test_no_changed_item_is_no_evidence():
    assert mcnemar(0, 0) == 1.0


@pytest.mark.parametrize("n", [1, 8, 60, 1319])
def test_the_wilson_interval_is_that_of_scipy(n):
    for right in {0, n // 2, n - 1, n}:
        interval = binomtest(right, n).proportion_ci(method="wilson")
        assert wilson(right, n) == pytest.approx((interval.low, interval.high), abs=1e-15)
