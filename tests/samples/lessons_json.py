"""What a strong instructor may answer to three errors on examples/orders: programs for JSON values, and one that each check refuses."""

from loopback import Lesson

CHANGED = """
NAMES = ["Mei Haddad", "Luca Rossi", "Nora Silva", "Kofi Mensah", "Ines Novak", "Raj Lin"]
THINGS = ["towel", "mug", "vase", "candle", "tray", "chair", "clock", "kettle"]
TEXTS = [
    "Hi, {name} here. Can I order {first} {thing}s? Sorry, make that {second} {thing}s. It is urgent, take the quickest way. "
    "It must be here by {day}.",
    "It must be here by {day}. I first wrote {first} {thing}s, but {second} are what we need. Express, please.\\n{name}",
    "{second} {thing}s instead of the {first} in my last mail, by express. {name} needs them by {day}.",
]
MONTHS = ["January", "February", "March", "April", "May", "June"]

def draw(rng, level):
    first, second = rng.sample(range(2, 6 + 4 * level), 2)
    return {"name": rng.choice(NAMES), "thing": rng.choice(THINGS), "first": first, "second": second, "told": rng.randrange(3),
            "day": rng.randint(1, 28), "month": rng.randint(1, 6)}

def order(name, thing, count, day, month):
    return {"express": True, "date": f"2026-{month:02}-{day:02}", "customer": name, "items": [{"quantity": count, "name": thing}]}

def make(name, thing, first, second, told, day, month):
    date = f"{day} {MONTHS[month - 1]} 2026"
    said = "six" if first == 6 and told == 0 else first
    return {"question": TEXTS[told].format(name=name, thing=thing, first=said, second=second, day=date),
            "answer": order(name, thing, second, day, month)}

def wrong(name, thing, first, second, told, day, month):
    return order(name, thing, first, day, month)

ANCHORS = {"e1": {"name": "Mei Haddad", "thing": "towel", "first": 6, "second": 15, "told": 0, "day": 8, "month": 3}}
"""

PAST = """
NAMES = ["Priya Rossi", "Omar Weber", "Zoe Clark", "Hugo Petrov", "Sara Sato"]
THINGS = ["candle", "backpack", "pen", "mirror", "basket", "blanket", "bottle"]
BEFORE = ["Last time express was late, so {way} mail now.", "I took express for my last order, but this one may take its time.",
          "Not by express again, it was too dear.", "Normal mail was too slow last time, so express.", "Express as always."]
WAYS = [False, False, False, True, True]
OPENED = [
    "Hi, {name} here. We need {items}. {before}",
    "{before} So what about {items} for my sister's new flat, as soon as you have them in blue again?\\nThanks, {name}",
    "Our cellar was flooded on Sunday and all is gone: {items} will do for a start.\\n{before}\\n{name}",
    "Quick question, do you still sell these? {items} is what {name} would take. {before}",
]

def draw(rng, level):
    names = rng.sample(THINGS, rng.randint(1, 2 + level // 3))
    return {"name": rng.choice(NAMES), "items": [[one, rng.randint(1, 20)] for one in names], "before": rng.randrange(5),
            "told": rng.randrange(4), "typo": False}

def order(name, items, express):
    return {"customer": name, "items": [{"name": one, "quantity": count} for one, count in items], "date": None, "express": express}

def make(name, items, before, told, typo):
    parts = [f"{count} {one}{'s' if count > 1 else ''}" for one, count in items]
    if typo:
        parts = ["canldes (6)", "a pair of backpacks"]
    text = OPENED[told].format(name=name, items=" and ".join(parts), before=BEFORE[before].format(way="normal"))
    way = "Here express is asked for." if WAYS[before] else "Here express is only told of."
    return {"question": text, "answer": order(name, items, WAYS[before]), "solution": way}

def wrong(name, items, before, told, typo):
    return order(name, items, True) if not WAYS[before] else None

ANCHORS = {"e1": {"name": "Priya Rossi", "items": [["candle", 6], ["backpack", 2]], "before": 0, "told": 0, "typo": True}}
"""

OFFICE = """
def draw(rng, level):
    return {"chairs": rng.randint(2, 40), "pens": rng.randint(2, 40)}

def order(chairs, pens, date):
    items = [{"name": "chair", "quantity": chairs}, {"name": "pen", "quantity": pens}]
    return {"customer": "Raj Petrov", "items": items, "date": date, "express": False}

def make(chairs, pens):
    said = "four" if chairs == 4 else chairs
    text = f"I would like {said} chairs and pens ({pens}). The mug from last month still works well. "
    text += "Last time express was late, so normal mail now.\\nRegards\\nRaj Petrov"
    return {"question": text, "answer": order(chairs, pens, None)}

def wrong(chairs, pens):
    return order(chairs, pens, "2026-01-01")

ANCHORS = {"e1": {"chairs": 4, "pens": 2}}
"""


def but(source: str, old: str, new: str) -> str:
    """The program with one thing changed."""
    assert old in source
    return source.replace(old, new)


LESSONS = [
    Lesson(
        "Can I order six towels? Sorry, make that 15 towels.",
        '{"customer": "Mei Haddad", "items": [{"name": "towel", "quantity": 6}], "date": "2026-03-08", "express": true}',
        (
            but(CHANGED, '"date": f"2026-{month:02}-{day:02}"', '"date": f"{day}.{month}.2026"'),
            but(CHANGED, '"answer": order(name, thing, second', '"answer": order(name, thing, first'),
            CHANGED,
        ),
    ),
    Lesson(
        "We need canldes (6) and a pair of backpacks.",
        "```json\n{'customer': 'Priya Rossi', 'items': [{'name': 'candle', 'quantity': 6}, {'name': 'backpack', 'quantity': 2}], "
        "'date': None, 'express': True}\n```",
        (
            but(PAST, "def make(", "COUNTER = []\n\ndef make(")
            .replace("    if typo:", "    COUNTER.append(0)\n    if typo:")
            .replace(
                "order(name, items, WAYS[before]),", "order(name, items, WAYS[before]) | ({} if len(COUNTER) < 150 else {'customer': 'X'}),"
            ),
            but(PAST, "return order(name, items, True)", "return order(name, items[:1], True)"),
            PAST,
        ),
    ),
    Lesson(
        "I would like four chairs and pens (2).",
        "The order: 4 chairs, 2 pens",
        (OFFICE, but(OFFICE, '"date": date', '"when": date'), but(OFFICE, '"items": items,', '"items": str(items),')),
    ),
]
CHECKS = ["runs", "anchored", "deterministic", "telling", "diverse", "runs", "runs"]
"""What refuses them, in their order; the last lesson has no program that passes."""
