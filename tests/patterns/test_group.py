"""Diagnoses that say the same are one pattern, in other forms of the words too, and its name is theirs."""

import random

from errata.programs.patterns.group import NAME, groups, name, names, stems
from errata.signatures.records import Diagnosis


def diagnosis(skill, misconception):
    return Diagnosis(failure_ids=("f",), strategy="S", verdict="error", skill=skill, misconception=misconception, evidence="", teach="")


def put_together(rows):
    """The groups, each as a set of what was said."""
    found = groups([diagnosis(*row) for row in rows])
    assert sorted(place for members in found for place in members) == list(range(len(rows)))
    return [{rows[place][1] for place in members} for members in found]


def test_the_same_in_another_form_of_the_words_is_one_pattern_and_its_reverse_is_another():
    rows = [
        ("", "Adds instead of subtracting."),
        ("", "It added rather than subtracted."),
        ("", "adding in place of subtraction"),
        ("", "Subtracts instead of adding."),
        ("", "It forgets the denominator."),
    ]
    assert put_together(rows) == [{said for _, said in rows[:3]}, {rows[3][1]}, {rows[4][1]}]


def test_figures_names_and_quotes_tell_no_patterns_apart():
    trees = (("Tarby", "oak"), ("Molden", "fir"))
    rows = [("know the tree of a town", f"It takes the tree of {town} to be {tree}.") for town, tree in trees]
    rows += [("add", f'A slip: it takes {a}+{b} to be {a * b}; the question says "{a} pens".') for a, b in ((3, 4), (11, 29))]
    assert [len(members) for members in put_together(rows)] == [2, 2]
    assert stems("It takes 3*4 to be 11.5 in Rome") == stems("It takes 77*4 to be 2 in Paris")


def test_one_skill_with_different_misconceptions_is_one_pattern_that_the_skill_names():
    said = ["It multiplies whenever it sees a rate.", "It copies the number beside the total.", "It adds all numbers in their order."]
    rows = [diagnosis("dividing a total into equal groups", one) for one in said] + [diagnosis("reading a clock", "It swaps the hands.")]
    found = groups(rows)
    assert [len(members) for members in found] == [3, 1]
    called = names([[rows[place] for place in members] for members in found])
    assert called == ["dividing a total into equal groups", "It swaps the hands"]


def test_the_order_of_the_diagnoses_changes_no_pattern():
    words = ["adds", "drops", "doubles", "forgets", "swaps"]
    rows = [(f"skill {place % 4}", f"It {words[place % 5]} the {'sum' if place % 2 else 'rest'}.") for place in range(40)]
    shuffled = random.Random(1).sample(rows, len(rows))
    assert sorted(map(sorted, put_together(rows))) == sorted(map(sorted, put_together(shuffled)))


def test_a_pattern_is_called_as_most_of_its_diagnoses_begin_without_figures():
    slips = [diagnosis("a", f"A slip of arithmetic: it takes {n}+1 to be {n}.") for n in (3, 44)]
    assert name(slips) == "A slip of arithmetic"
    long = diagnosis("short skill", "The model " + "goes on and on about one thing " * 9)
    assert len(name([long])) <= NAME
    assert name([long]).startswith("goes on and on")
    assert name([diagnosis("the skill", "When a rate is per day, it takes the week.")]) == "the skill"
    assert name([diagnosis("", "")]) == "no words"


def test_no_two_patterns_have_one_name():
    same = [[diagnosis(skill, "A slip of arithmetic: it takes 3.")] * 2 for skill in ("add", "subtract", "add")]
    assert names(same) == ["A slip of arithmetic (add)", "A slip of arithmetic (subtract)", "A slip of arithmetic (add), 2"]


def test_nothing_one_and_wordless_diagnoses_are_grouped_without_a_fault():
    assert groups([]) == []
    assert groups([diagnosis("", "")]) == [[0]]
    assert len(groups([diagnosis("", ""), diagnosis("", "…"), diagnosis("", "12")])) >= 1


def test_more_texts_than_are_clustered_go_each_with_the_nearest(monkeypatch):
    monkeypatch.setattr("errata.programs.patterns.group.MOST", 4)
    rows = [("add", f"It drops the {thing} of the sum.") for thing in ("carry", "sign", "unit")]
    rows += [("cut", "It cuts the list too early."), ("cut", "It cuts the list far too early."), ("add", "It drops the point of the sum.")]
    assert [len(members) for members in put_together(rows)] == [4, 2]
