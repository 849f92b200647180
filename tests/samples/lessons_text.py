"""What a strong instructor may answer to two errors on examples/units: programs for texts, and one that each check refuses."""

from loopback import Lesson

SMALLER = """
ASKED = [
    "{one}'s {thing} lasts {a}, and {other}'s lasts {b}. What is the smaller of the two amounts?",
    "Which amount is less, {b} or {a}?",
    "Two {thing}s were timed by {one}: {a} and then {b}. Write down the smaller amount.",
]
NAMES, THINGS = ["Bruno", "Chen", "Mei", "Omar", "Ruth"], ["lesson", "film", "match", "ferry ride"]

def draw(rng, level):
    quarters = rng.randint(5, 8 + 6 * level)
    less = rng.random() < 0.8
    minutes = 5 * (rng.randint(3, 3 * quarters - 1) if less else rng.randint(3 * quarters + 1, 6 * quarters))
    one, other = rng.sample(NAMES, 2)
    return {"quarters": quarters, "minutes": minutes, "one": one, "other": other, "thing": rng.choice(THINGS), "told": rng.randrange(3)}

def both(quarters, minutes):
    return f"{quarters / 4:g} h", f"{minutes:,} min"

def make(quarters, minutes, told, **slots):
    a, b = both(quarters, minutes)
    return {"question": ASKED[told].format(a=a, b=b, **slots), "answer": a if 15 * quarters < minutes else b}

def wrong(quarters, minutes, **rest):   # compares the numbers and forgets the units
    a, b = both(quarters, minutes)
    smaller = a if quarters / 4 < minutes else b
    return None if smaller == make(quarters, minutes, 1, one="", other="", thing="")["answer"] else smaller

ANCHORS = {"e1": {"quarters": 23, "minutes": 330, "one": "Bruno", "other": "Chen", "thing": "lesson", "told": 0}}
"""

MISSING = """
ASKED = [
    "A {thing} weighs {a}. How much is missing for that if one weighs {b}?",
    "By how much do {a} and {b} differ? Both are of a {thing}.",
    "Here is a {thing} of {a}. Take {b} away, and write down the rest.",
]
THINGS = ["bag of rice", "parcel", "suitcase", "pumpkin", "sack of flour"]

def plain(value, unit):
    return f"{value:,.3f}".rstrip("0").rstrip(".") + f" {unit}"

def draw(rng, level):
    kilos = rng.randint(2, 4 + 6 * level)
    return {"kilos": kilos, "grams": 50 * rng.randint(3, 20 * kilos - 1), "thing": rng.choice(THINGS), "told": rng.randrange(3)}

def make(kilos, grams, thing, told):
    question = ASKED[told].format(a=plain(kilos, "kg"), b=plain(grams, "g"), thing=thing)
    return {"question": question, "answer": plain(kilos - grams / 1000, "kg")}

def wrong(kilos, grams, **rest):   # takes one number from the other as they stand
    return {"answer": plain(grams - kilos, "g"), "solution": f"{grams} - {kilos} = {grams - kilos}"}

ANCHORS = {"e1": {"kilos": 4, "grams": 2950, "thing": "bag of rice", "told": 0}}
"""

GIVEN = '"answer": plain(kilos - grams / 1000, "kg")'
REFUSED = {
    "runs": MISSING.replace(GIVEN, '"answer": "about " + plain(kilos - grams / 1000, "kg")'),
    "anchored": MISSING.replace(GIVEN, '"answer": plain(kilos + grams / 1000, "kg")'),
    "deterministic": MISSING.replace("def make(", "SEEN = []\n\ndef make(").replace(
        "    question =", "    SEEN.append(thing)\n    thing += f' number {len(SEEN)}' if len(SEEN) > 1 else ''\n    question ="
    ),
    "formed": MISSING.replace(GIVEN, '"answer": plain(kilos - grams / 1000, "kg").replace(" ", "")'),
    "diverse": MISSING.replace('"told": rng.randrange(3)}', '"told": 0}'),
    "telling": MISSING.replace("plain(grams - kilos", "plain(grams + kilos"),
}
"""Check -> a program for the second error that it refuses, and that passes those before it."""

LESSONS = [
    Lesson("Bruno's lesson lasts 5.75 h, and Chen's lasts 330 min.", "5.75 h", (SMALLER,)),
    Lesson("A bag of rice weighs 4 kg. How much is missnig", "2,946 g", (*REFUSED.values(), MISSING)),
]
