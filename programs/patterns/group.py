"""Which diagnoses say the same, and what a person would call that.

A diagnosis names a skill and a misconception. Both are compared by their words, without figures, names in quotes and endings ("adds",
"added", "adding"), by TF-IDF; what stands after "instead of" or "rather than" counts as another word, so that "adds instead of subtracting"
is "added rather than subtracted" and not its reverse. Then agglomerative clustering with average linkage. No instructor is asked.
What is not here: which diagnoses there are (errata.programs.patterns.found). Not covered: the same said in other words.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from ...signatures.records import Diagnosis

APART = 0.65
"""Cosine distance, mean over pairs and over skill and misconception, above which diagnoses are not put together. Set by eye on recorded
diagnoses of a strong model, where 0.5 to 0.8 give nearly the same, and of the embedded one, whose 449 of GSM8K make 15 patterns, 29 at 0.55
and 9, one with half of them, at 0.7 (docs/patterns.md)."""
MOST = 2000
"""Different texts that are clustered; each of the others goes with the nearest of them."""
NAME = 90
"""Characters of the longest name."""
FEW = 6
"""Words of the shortest beginning that tells enough."""
SEVERAL = 0.5
"""Share of a pattern's diagnoses that must begin as its name does, where they have a common beginning."""
STOP = """a an the this that these those it its is are was be been of to in on for with at by from as and or if so such than then also only
but model student target answer answers question problem does do did has have had which what when where who whose while into them they he
she his her him their there each any all"""
ENDINGS = re.compile(r"(?:ations?|itions?|ions?|ings?|ies|ied|ed|es|s|e|y)$")
OTHER = re.compile(r"\b(?:instead of|rather than|in place of|and not|where it (?:chose to|should))\b")
"""After it stands what was not done; of the embedded instructor's words, either half of "it should add where it chose to divide"."""
NAMES = re.compile(r"(?<![.:?!] )(?<!^)\b[A-Z][a-z]+\b")
"""Of persons and places, which tell of one error alone."""
FIGURES = re.compile(r"[\"'`“‘][^\"'`”’]*[\"'`”’]|\d[\d.,/*+=-]*|\$")
BORDERS = re.compile(r"(?<=[\w)\"'])[,;:.](?= |$)| \(|$")
ASIDE = ("when ", "after ", "if ", "while ", "since ", "although ")
"""How a sentence begins that does not begin with what is wrong."""


def stems(text: str) -> list[str]:
    """The words that tell what a text says, without endings; a word of what was not done begins with a minus."""
    words, other, stop = [], False, set(STOP.split())
    for part in re.split(f"({OTHER.pattern})|([,;:.()])", FIGURES.sub(" ", NAMES.sub(" ", text)).lower()):
        if part is None:
            continue
        if OTHER.fullmatch(part) or part in tuple(",;:.()"):
            other = bool(OTHER.fullmatch(part))
            continue
        for word in re.findall(r"[^\W\d_]+", part):
            if word not in stop:
                stem = ENDINGS.sub("", word) if len(word) > 3 else word
                words.append(("-" if other else "") + stem)
    return words


def _terms(text: str) -> list[str]:
    words = stems(text)
    return words + [f"{one} {following}" for one, following in pairwise(words)]


def _vectors(texts: Sequence[str]) -> Any:
    """(N, D), one row a text."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer=lambda text: _terms(text) or [text], sublinear_tf=True).fit_transform(texts)


def groups(diagnoses: Sequence[Diagnosis]) -> list[list[int]]:
    """Places of the diagnoses that say the same, the most central one first, in the order of their first members. Deterministic."""
    texts = [(one.skill or one.misconception, one.misconception or one.skill) for one in diagnoses]
    different = list(dict.fromkeys(texts))
    first, others = different[:MOST], different[MOST:]
    if len(first) < 2:
        return [list(range(len(texts)))] if texts else []
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics.pairwise import cosine_distances

    both = [_vectors([skill for skill, _ in different]), _vectors([said for _, said in different])]
    apart = sum(cosine_distances(one[: len(first)]) for one in both) / 2
    model = AgglomerativeClustering(n_clusters=None, metric="precomputed", linkage="average", distance_threshold=APART)
    of = dict(zip(first, model.fit_predict(apart), strict=True))
    if others:
        near = sum(cosine_distances(one[len(first) :], one[: len(first)]) for one in both).argmin(axis=1)
        of |= {text: of[first[place]] for text, place in zip(others, near, strict=True)}
    found: dict[int, list[int]] = {}
    for place, text in enumerate(texts):
        found.setdefault(of[text], []).append(place)
    known = {text: place for place, text in enumerate(first)}

    def far(members: Sequence[int], place: int) -> tuple[float, int]:
        mine = known.get(texts[place])
        rows = [known[texts[one]] for one in members if texts[one] in known]
        return (float(apart[mine, rows].mean()) if mine is not None else 2.0), place

    return [sorted(members, key=partial(far, members)) for members in found.values()]


def _cuts(said: str) -> list[str]:
    """How a sentence may be cut short, at its commas and points outside of brackets and quotes."""
    cuts = [said[: border.start()] for border in BORDERS.finditer(said)]
    return [one for one in cuts if len(one.split()) > 2 and one.count("(") == one.count(")") and not one.count('"') % 2]


def _masked(text: str) -> str:
    return FIGURES.sub("0", text.lower())


def name(members: Sequence[Diagnosis]) -> str:
    """What a pattern is called, in the words of its diagnoses, the most central of which comes first: how at least half of the
    misconceptions begin; or the skill that at least half of them name; or the beginning of the most central one."""
    if len(members) == 1:
        return _short(_beginning(members[0]))
    told = [" ".join(one.misconception.split()) for one in members]
    masked = [_masked(text) for text in told]
    enough = max(2, SEVERAL * len(members))
    common = [one for one in _cuts(told[0]) if len(one) <= NAME and sum(text.startswith(_masked(one)) for text in masked) >= enough]
    plain = [one for one in common if not re.search(r"\d", one)]
    skill, count = Counter(one.skill for one in members).most_common(1)[0]
    shared = skill if count >= enough else ""
    return _short(next(filter(None, [*plain[-1:], shared, *common[-1:], _beginning(members[0])])))


def _beginning(one: Diagnosis) -> str:
    """How the misconception begins; the skill where it begins beside the point."""
    said = " ".join(one.misconception.split())
    cuts = _cuts(said)
    enough = [cut for cut in cuts if len(cut.split()) > FEW] or cuts[-1:] or [said]
    return (one.skill if said.lower().startswith(ASIDE) else enough[0]) or one.skill or said or "no words"


def _short(text: str) -> str:
    """Without "The model", which begins most of what instructors say, and cut at a word."""
    text = re.sub(r"^The (?:model|student|target) ", "", re.sub(r"\d([\d.,]*\d)?", "…", " ".join(text.split()))).rstrip(".")
    return text if len(text) <= NAME else f"{text[: NAME - 1].rsplit(' ', 1)[0]}…"


def names(patterns: Sequence[Sequence[Diagnosis]]) -> list[str]:
    """One name each, none twice: those of one name are told apart by their skill, or by a number."""
    plain = [name(members) for members in patterns]
    often = Counter(plain)
    found: list[str] = []
    for members, one in zip(patterns, plain, strict=True):
        skill = Counter(row.skill for row in members).most_common(1)[0][0]
        more = _short(skill if skill != one else _beginning(members[0]))
        one = f"{one} ({more})" if often[one] > 1 and more not in ("", one) else one
        taken = sum(other == one or other.startswith(f"{one}, ") for other in found)
        found.append(f"{one}, {taken + 1}" if taken else one)
    return found
