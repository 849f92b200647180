"""A file of patterns says one thing, or one line says what it does not say."""

import pytest

from errata.programs.patterns.file import choose, read
from errata.signatures.errors import UsageError

TWO = "patterns:\n- {number: 1, name: adds, errors: a b}\n- {number: 2, name: slips, errors: [c], %s}\n"


def chosen(tmp_path, text):
    (tmp_path / "p.yaml").write_text(text)
    return choose(tmp_path / "p.yaml")


def kept(tmp_path, text):
    return [(one.name, one.weight, one.errors) for one in chosen(tmp_path, text).patterns]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("weight: 2", [("adds", 1.0, ("a", "b")), ("slips", 2.0, ("c",))]),
        ("keep: false", [("adds", 1.0, ("a", "b"))]),
        ("weight: 0", [("adds", 1.0, ("a", "b"))]),
        ("merge_into: 1", [("adds", 1.0, ("a", "b", "c"))]),
        ("merge_into: adds", [("adds", 1.0, ("a", "b", "c"))]),
    ],
)
def test_patterns_are_kept_weighted_and_merged_as_the_file_says(tmp_path, line, found):
    assert kept(tmp_path, TWO % line) == found


def test_what_is_merged_goes_on_to_where_that_is_merged_and_shares_its_fate(tmp_path):
    text = TWO % "merge_into: 3" + "- {number: 3, name: all, errors: d, weight: 4}\n"
    assert kept(tmp_path, text.replace("errors: a b", "errors: a b, merge_into: 2")) == [("all", 4.0, ("a", "b", "c", "d"))]
    assert kept(tmp_path, text.replace("weight: 4", "keep: false")) == [("adds", 1.0, ("a", "b"))]


def test_one_number_leaves_out_all_small_patterns_but_none_of_a_skill(tmp_path):
    assert kept(tmp_path, "smallest: 2\n" + TWO % "weight: 1") == [("adds", 1.0, ("a", "b"))]
    assert len(kept(tmp_path, "smallest: 2\n" + TWO % "skill: add")) == 2


def test_notes_names_of_ids_and_their_order_are_no_part_of_what_a_file_means_but_its_names_and_weights_are(tmp_path):
    text = TWO % "weight: 2"
    same = chosen(tmp_path, text).hash
    assert chosen(tmp_path, f"# a note\n{text.replace('a b', 'b a').replace('number: 2', 'number: 7')}").hash == same
    for old, new in (("weight: 2", "weight: 3"), ("slips", "slip"), ("a b", "a")):
        assert chosen(tmp_path, text.replace(old, new)).hash != same


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patterns: []", "patterns: `patterns` is missing or empty"),
        ("", "patterns: `patterns` is missing or empty; fill it in"),
        ("patterns: [{errors: [a]}]", "pattern 1: `name` is missing or empty"),
        ("paterns: []", "there is no field `paterns`; did you mean `patterns`?"),
        (TWO % "kep: true", "pattern 2: there is no field `kep`; did you mean `keep`?"),
        (TWO % "weight: -1", "pattern 2: weight = '-1' is not usable"),
        (TWO % "weight: .nan", "pattern 2: weight = 'nan' is not usable"),
        (TWO % "keep: perhaps", "pattern 2: keep = 'perhaps' is not usable"),
        ((TWO % "weight: 0").replace("errors: a b", "errors: a b, weight: 0"), "nothing is kept"),
        ((TWO % "keep: false").replace("errors: a b", "errors: a b, keep: false"), "nothing is kept"),
        ("smallest: 9\n" + TWO % "keep: true", "nothing is kept"),
        (TWO % "merge_into: slips", "'slips' -> 'slips' is merged into itself"),
        ((TWO % "merge_into: 1").replace("a b", "a b, merge_into: 2"), "'adds' -> 'slips' -> 'adds' is merged into itself"),
        (TWO % "merge_into: add", "'slips' is merged into 'add', which is no pattern; did you mean adds?"),
        (TWO % "merge_into: 1, weight: 2", "'slips' is merged, and has a keep or weight of its own; set them at 'adds'"),
        (TWO % "merge_into: 1, keep: false", "'slips' is merged, and has a keep or weight of its own; set them at 'adds'"),
        ((TWO % "keep: true").replace("slips", "adds"), "two patterns have the name 'adds'"),
        ((TWO % "keep: true").replace("number: 2", "number: 1"), "two patterns have the number 1"),
        ((TWO % "keep: true").replace("[c]", "[b]"), "b is in 'adds' and in 'slips'; list it once"),
        ((TWO % "keep: true").replace("errors: [c], ", ""), "'slips' has neither errors nor a skill"),
        ("patterns: [", "is not valid YAML"),
        ("- 3", "must be a mapping"),
        ("patterns: [3]", "pattern 1"),
    ],
)
def test_a_file_that_says_two_things_or_keeps_nothing_is_told_in_one_line(tmp_path, text, said):
    with pytest.raises(UsageError) as error:
        chosen(tmp_path, text)
    assert said in str(error.value)
    assert str(error.value).startswith(f"patterns file {tmp_path / 'p.yaml'}")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_told_by_its_name(tmp_path):
    with pytest.raises(UsageError, match=r"patterns file .*none.yaml cannot be read"):
        read(tmp_path / "none.yaml")
