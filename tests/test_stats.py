"""The statistics: those of the standard library say what SciPy's exact ones say, the others what was computed by hand."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from errata.programs.stats import (
    SWAPS,
    change_interval,
    holm,
    least_difference,
    mcnemar,
    paired_outcomes,
    paired_t,
    pairs_needed,
    permutation,
    sign_flips,
    t_interval,
    wilson,
)


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


def test_intervals_are_those_of_student():
    # mean 3, standard deviation sqrt(2.5), t of 4 degrees of freedom 2.7764: half is 2.7764 * sqrt(2.5 / 5)
    mean, low, high = t_interval([1, 2, 3, 4, 5])
    assert mean == 3
    assert (high - 3, 3 - low) == pytest.approx((1.9632, 1.9632), abs=1e-4)
    assert t_interval([7]) == (7, None, None)


def test_the_paired_t_test_sees_the_differences_alone():
    # differences 1, 2, 3: t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom, p = 0.07418
    assert paired_t([11, 22, 33], [10, 20, 30]) == pytest.approx(0.07418, abs=1e-5)
    assert paired_t([1], [0]) is None
    assert paired_t([1, 2], [0, 1]) is None


def test_the_permutation_test_is_the_sign_test_where_all_items_weigh_the_same():
    # of 10 items that one side alone solves the arm has 9: P(9 or more, or 1 or fewer) = 22 / 1024
    assert permutation([(9, 1, 0.1)]) == pytest.approx(22 / 1024, abs=0.004)
    assert permutation([(5, 1, 0.1), (4, 0, 0.1)]) == pytest.approx(22 / 1024, abs=0.004)
    assert permutation([(0, 0, 1.0)]) == 1
    assert permutation([(200, 0, 0.01)]) == 1 / (SWAPS + 1)
    # one heavy item outweighs three light ones: only its own swap decides
    assert permutation([(1, 0, 10.0), (0, 3, 1.0)]) == 1


def test_holm_multiplies_each_p_by_the_number_of_those_that_are_not_smaller():
    assert holm([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.06, None, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_random_signs_are_all_tried_where_they_are_few():
    # of the 2 ** 8 signs of eight equal gains two give a mean as far from 0
    assert sign_flips([0.5] * 8, 0) == pytest.approx(2 / 2**8)
    assert sign_flips([0.0, 0.0], 0) == 1.0


def test_pairs_with_an_unjudged_side_are_counted_and_left_out():
    found = paired_outcomes([(False, True), (True, True), (None, True), (True, None)])
    assert (found["pairs"], found["unjudged"], found["fixed"], found["broken"], found["difference"]) == (2, 2, 1, 0, 0.5)


def test_the_interval_of_a_change_is_the_published_one():
    # f12 = 26 and f21 = 4 of 40 give [0.3126, 0.7350] in D. G. Bonett's own R functions (CIpropWS)
    assert change_interval(40, 26, 4) == pytest.approx((0.3126438, 0.7349752), abs=1e-6)


@pytest.mark.parametrize(("fixed", "broken"), [(0.05, 0.05), (0.1, 0.02), (0.3, 0.1), (0.01, 0.0), (0.02, 0.2)])
@pytest.mark.parametrize("n", [30, 100, 600])
def test_the_interval_of_a_change_holds_the_truth_as_often_as_it_says(n, fixed, broken):
    tables = np.random.default_rng(7).multinomial(n, [fixed, broken, 1 - fixed - broken], size=4000)
    intervals = {key: change_interval(n, *key) for key in {(int(up), int(down)) for up, down, _ in tables}}
    held = np.mean([low <= fixed - broken <= high for low, high in (intervals[int(up), int(down)] for up, down, _ in tables)])
    assert held >= 0.94


def power(n, changed, difference):
    """That of the exact McNemar test at 0.05, over all numbers of changed items."""
    up = (changed + difference) / 2 / changed
    found = 0.0
    for some in range(n + 1):
        if (weight := binom.pmf(some, n, changed)) > 1e-7:
            refused = [k for k in range(some + 1) if mcnemar(k, some - k) <= 0.05]
            found += weight * binom.pmf(refused, some, up).sum()
    return found


@pytest.mark.parametrize(("changed", "difference"), [(0.375, 0.125), (0.1, 0.05), (0.15, 0.06), (0.6, -0.3), (0.9, 0.5)])
def test_as_many_items_as_are_needed_find_the_difference_in_four_of_five_cases(changed, difference):
    n = pairs_needed(changed, difference)
    assert 0.8 <= power(n, changed, difference) <= 0.83
    assert power(int(0.8 * n), changed, difference) < 0.8


def test_items_needed_are_those_of_connor_and_a_few_more():
    # 0.45 against 0.05 of the pairs: 23 at 80 % power without the continuity correction (Connor 1987, page 209)
    assert 23 < pairs_needed(0.5, 0.4) <= 23 + 2 / 0.4
    assert pairs_needed(0.3, 0.0) is None


@pytest.mark.parametrize(("n", "changed"), [(60, 0.1), (600, 0.1), (600, 0.0), (5000, 0.4)])
def test_the_least_difference_is_the_one_that_needs_these_items(n, changed):
    least = least_difference(n, changed)
    assert pairs_needed(max(changed, least), least) <= n < pairs_needed(max(changed, 0.98 * least), 0.98 * least)


def test_five_items_show_nothing_and_six_only_a_change_of_all():
    assert [mcnemar(5, 0) > 0.05, mcnemar(6, 0) > 0.05] == [True, False]
    assert least_difference(5, 0.0) is None
    assert least_difference(6, 0.0) > 0.9
    assert least_difference(0, 0.0) is None
