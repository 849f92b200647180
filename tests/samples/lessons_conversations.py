"""What a strong instructor may answer to three errors in conversations about orders, and two programs that a check refuses."""

from loopback import Lesson

GOOD = '''
ITEMS = ["pens", "cups", "lamps", "books", "chairs"]
FIRST = ["I ordered {a} {item} on Monday.", "On Monday my order was {a} {item}.", "{a} {item} were in my first order."]
ASKED = [
    "Then {b} more on Friday. How many {item} is that?",
    "How many {item} do I get in all, if I order {b} again?",
    "On Friday {b} came on top. What is the total?",
]

def draw(rng, level):
    top = 10 + 20 * level
    return {"a": rng.randint(2, top), "b": rng.randint(2, top), "item": rng.choice(ITEMS), "first": rng.randrange(3),
            "told": rng.randrange(3)}

def make(a, b, item, first, told):
    turns = [("User", FIRST[first].format(a=a, item=item)), ("Assistant", "Noted."), ("User", ASKED[told].format(b=b, item=item))]
    return {
        "question": "\\n\\n".join(f"{role}: {text}" for role, text in turns),
        "solution": f"Together {a} + {b} = {a + b}.",
        "answer": str(a + b),
    }

def wrong(a, b, item, first, told):
    return str(b)

ANCHORS = {"e1": ANCHOR}
'''  # fmt: skip


def program(a: int, b: int, item: str, told: int) -> str:
    return GOOD.replace("ANCHOR}", f'{{"a": {a}, "b": {b}, "item": "{item}", "first": 0, "told": {told}}}}}')


FIRST, SECOND, THIRD = program(7, 12, "pens", 0), program(49, 54, "cups", 0), program(21, 26, "lamps", 0)
ANSWERED = SECOND.replace(
    '("User", ASKED[told].format(b=b, item=item))]', '("User", ASKED[told].format(b=b, item=item)), ("Assistant", "Yes.")]'
)
"""Its conversations end with a turn of the assistant's."""
CUT = THIRD.replace('{role}: {text}" for role, text in turns)', '{text}" for _, text in turns[2:])')
"""Its questions lack the turns that go before."""
LESSONS = [
    Lesson("I ordered 7 pens", response="Then 12 pens.\n#### 12", programs=[FIRST]),
    Lesson("I ordered 49 cups", response="#### 54", programs=[ANSWERED, SECOND]),
    Lesson("I ordered 21 lamps", response="#### 26", programs=[CUT, THIRD]),
]

ALONE = """
ASKED = [
    "I ordered {a} pens. Then {b} more. How many is that?",
    "How many pens are {a} and {b} more?",
    "Of my pens {a} came first, and {b} came then. What is the total?",
]

def draw(rng, level):
    top = 10 + 30 * level
    return {"a": rng.randint(40, 40 + top), "b": rng.randint(2, top), "told": rng.randrange(3)}

def make(a, b, told):
    return {"question": ASKED[told].format(a=a, b=b), "solution": f"That is {a} + {b} = {a + b}.", "answer": str(a + b)}

def wrong(a, b, told):
    return str(b)

ANCHORS = {"e1": {"a": 7, "b": 12, "told": 0}}
"""
"""For a question of one turn."""
