"""Writes train.jsonl, dev.jsonl and test.jsonl of this folder: amounts in two units, to be added, compared, taken apart or told apart.

    python examples/units/make_data.py

Each answer is a number with a unit, e.g. "2.5 km". Half of the questions say in which unit; the verdict (same.py) takes any, as 5 km are
5000 m. A third of the questions hold a number that does not matter, a tenth hold typing errors. Wordings are invented here.
"""

import json
import random
from fractions import Fraction
from pathlib import Path

UNITS = {
    "long": ("cm", "m", 100, "centimetres", "metres"),
    "far": ("m", "km", 1000, "metres", "kilometres"),
    "mass": ("g", "kg", 1000, "grams", "kilograms"),
    "volume": ("ml", "l", 1000, "millilitres", "litres"),
    "short": ("s", "min", 60, "seconds", "minutes"),
    "time": ("min", "h", 60, "minutes", "hours"),
}
"""The smaller unit, the larger one, how many of the one are the other, and their names."""
THINGS = {
    "long": ("is {} long", ("rope", "plank", "ribbon", "pipe", "table")),
    "far": ("is {} long", ("path", "road", "track", "tunnel", "bus line")),
    "mass": ("weighs {}", ("parcel", "bag of rice", "suitcase", "pumpkin", "box of nails")),
    "volume": ("holds {}", ("jug", "bucket", "bottle", "watering can", "pot")),
    "short": ("lasts {}", ("song", "signal", "round", "dive", "clip")),
    "time": ("lasts {}", ("film", "lesson", "ferry ride", "match", "concert")),
}
TOLD = {
    "total": [
        "One {thing} {a}, another one {b}. What do they come to together{unit}?",
        "{name} has a {thing} that {a} and a second one that {b}. How much is that in all{unit}?",
        "What is the total{unit} of a {thing} that {a} and one that {b}?",
        "Add up two amounts{unit}: a {thing} {a}, and the next {thing} {b}.",
    ],
    "difference": [
        "One {thing} {a}, another one {b}. By how much do the two differ{unit}?",
        "What is the difference{unit} between a {thing} that {b} and one that {a}?",
        "{name}'s {thing} {b}. That of {other} {a}. How far apart are the two amounts{unit}?",
        "A {thing} {a}. How much is missing{unit} for that if one {b}?",
    ],
    "larger": [
        "Here are two of a kind: one {thing} {a}, the other {b}. Write down the larger amount.",
        "Which amount is more, that of a {thing} that {b} or that of one that {a}?",
        "{name} wants the {thing} with the larger amount. One {a}, one {b}. Which amount is it?",
    ],
    "smaller": [
        "Here are two of a kind: one {thing} {b}, the other {a}. Write down the smaller amount.",
        "Which amount is less, that of a {thing} that {a} or that of one that {b}?",
        "{other}'s {thing} {a}, and {name}'s {b}. What is the smaller of the two amounts?",
    ],
    "several": [
        "Each of {count} {thing}s {b}. What do they come to in all{unit}?",
        "{name} has {count} of the same {thing}. One of them {b}. How much are all of them{unit}?",
        "A {thing} {b}. If there are {count} like it, what is the whole amount{unit}?",
    ],
    "shared": [
        "A {thing} {a}. It is divided into {count} equal parts. How much is each of them{unit}?",
        "Into {count} equal parts {name} divides something: a {thing} that {a}. What does one part come to{unit}?",
        "How much is one of {count} equal parts{unit}, if the whole {thing} {a}?",
    ],
}
IDLE = [
    "It is {number} degrees outside.",
    "{other} is {number} years old.",
    "{name} has waited {number} days for it.",
    "It cost {number} euros.",
]
NAMES = ["Ada", "Bruno", "Chen", "Dara", "Emil", "Fatou", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lena"]


def written(value, unit):
    """A number without idle zeros, and its unit."""
    return f"{float(value):,.6f}".rstrip("0").rstrip(".") + f" {unit}"


def misspelt(text, rng):
    """With two letters of a word in each other's place."""
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if word.isalpha() and len(word) > 4 and word[0].islower()]
    if not places:
        return text
    place = rng.choice(places)
    at = rng.randrange(1, len(words[place]) - 2)
    word = words[place]
    words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def row(rng):
    skill, dimension = rng.choice(list(TOLD)), rng.choice(list(UNITS))
    small, large, factor, smalls, larges = UNITS[dimension]
    count, step = rng.randint(2, 6), factor // (4 if factor == 60 else 20)
    few = Fraction(step * rng.randint(2, 70))
    many = Fraction(rng.randint(2, 24), 4 if factor == 60 else rng.choice([2, 4, 5, 10])) * factor
    if skill == "shared":
        many *= count
    if few == many:
        return row(rng)
    verb, things = THINGS[dimension]
    asked = rng.choice([small, large])
    amounts = {"total": few + many, "difference": abs(few - many), "several": few * count, "shared": many / count}
    first, second = written(many / factor, large), written(few, small)
    if skill in amounts:
        named = rng.random() < 0.5
        value = amounts[skill]
        answer = written(value, small) if asked == small else written(value / factor, large)
        if Fraction(answer.split()[0].replace(",", "")) * (1 if asked == small else factor) != value:
            return row(rng)  # no exact decimal
    else:
        named, answer = False, (first if (many > few) == (skill == "larger") else second)
    name, other = rng.sample(NAMES, 2)
    slots = {"thing": rng.choice(things), "a": verb.format(first), "b": verb.format(second), "count": count, "name": name, "other": other}
    text = rng.choice(TOLD[skill]).format(**slots, unit=f" in {smalls if asked == small else larges}" if named else "")
    if rng.random() < 0.1:
        text = misspelt(text, rng)
    if rng.random() < 0.33:
        idle = rng.choice(IDLE).format(name=name, other=other, number=rng.randint(2, 40))
        text = f"{idle} {text}" if rng.random() < 0.6 else f"{text} {idle}"
    return {"question": text, "answer": answer, "skill": skill}


def main():
    rng = random.Random(14)
    rows = {}
    while len(rows) < 520:
        made = row(rng)
        rows.setdefault(made["question"], made)
    some = list(rows.values())
    for split, part in {"train": some[:320], "dev": some[320:420], "test": some[420:]}.items():
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in part)
        Path(__file__).with_name(f"{split}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
