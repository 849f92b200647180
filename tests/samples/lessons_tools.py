"""What a strong instructor may answer to three errors on examples/assistant: programs for calls, and one that each check refuses."""

from loopback import Lesson

TWO = """
ROOMS = ["kitchen", "bedroom", "bathroom", "hall", "office"]
DISHES = ["tea", "rice", "soup", "bread", "washing", "cake"]
TEXTS = [
    "It is {old} in the {room}, bring it down to {new}. Then wake me when the {dish} has had {minutes} minutes.",
    "The {dish} needs {minutes} minutes, ring then, and heat the {room} to {new} degrees.",
    "Could you do two things? {new} degrees in the {room} and a timer of {minutes} minutes for the {dish}.",
    "{new} is enough for the {room}; the {dish} will take {minutes} minutes, call me.",
]

def draw(rng, level):
    new = rng.randint(15, 22)
    return {"room": rng.choice(ROOMS), "old": new + rng.randint(1, 4), "new": new, "dish": rng.choice(DISHES),
            "minutes": rng.randint(3, 60), "told": rng.randrange(4)}

def make(room, old, new, dish, minutes, told):
    calls = [{"name": "set_timer", "arguments": {"minutes": minutes, "label": dish}},
             {"name": "set_heating", "arguments": {"room": room, "degrees": new}}]
    return {"question": TEXTS[told].format(room=room, old=old, new=new, dish=dish, minutes=minutes), "answer": calls}

def wrong(room, old, new, dish, minutes, told):   # does the first thing alone
    return make(room, old, new, dish, minutes, told)["answer"][1:]

ANCHORS = {"e1": {"room": "bathroom", "old": 22, "new": 19, "dish": "tea", "minutes": 40, "told": 0}}
"""

CHANGED = """
import json

ROOMS = ["kitchen", "bedroom", "bathroom", "hall", "office"]
THINGS = {"lights": ("set_light", "percent"), "heating": ("set_heating", "degrees")}
CHANGES = ["Make it {new} instead.", "Hm, what about {new}?", "That was wrong. {new}, I said.", "No! It should be {new}, please."]

def draw(rng, level):
    thing = rng.choice(sorted(THINGS))
    old, new = rng.sample(range(10, 100, 5) if thing == "lights" else range(15, 25), 2)
    return {"room": rng.choice(ROOMS), "thing": thing, "old": old, "new": new, "told": rng.randrange(4)}

def call(room, thing, value):
    name, what = THINGS[thing]
    return {"name": name, "arguments": {"room": room, what: value}}

def make(room, thing, old, new, told):
    turns = [
        f"User: Set the {thing} in the {room} to {old}.",
        f"Assistant: <tool_call>\\n{json.dumps(call(room, thing, old))}\\n</tool_call>",
        'Tool: {"ok": true}',
        f"Assistant: Done: {old} in the {room}.",
        f"User: {CHANGES[told].format(new=new)}",
    ]
    return {"question": "\\n\\n".join(turns), "answer": [call(room, thing, new)]}

def wrong(room, thing, old, new, told):   # does the same again
    return [call(room, thing, old)]

ANCHORS = {"e1": {"room": "bathroom", "thing": "lights", "old": 50, "new": 70, "told": 0}}
"""

LACKING = """
ROOMS = ["kitchen", "bedroom", "bathroom", "hall", "office"]
ASIDES = ["I slept badly.", "My eyes hurt.", "We have guests.", "It is late already."]
TEXTS = ["{aside} Dim the lights to {percent}.", "How about {percent} percent light? {aside}", "Can I have {percent} percent light?"]

def draw(rng, level):
    return {"aside": rng.choice(ASIDES), "percent": rng.randint(1, 99), "told": rng.randrange(3)}

def make(aside, percent, told):
    return {"question": TEXTS[told].format(aside=aside, percent=percent), "answer": [], "solution": "In which room?"}

def wrong(aside, percent, told):   # guesses the room
    return [{"name": "set_light", "arguments": {"room": "kitchen", "percent": percent}}]

ANCHORS = {"e1": {"aside": "I slept badly.", "percent": 40, "told": 0}}
"""

UNTYPED = TWO.replace('"degrees": new}', '"degrees": str(new)}')
COUNTED = TWO.replace("def make", "made = []\n\ndef make", 1).replace(
    "    calls = [", "    made.append(room)\n    minutes += len(made) > 30\n    calls = ["
)
OTHER = CHANGED.replace('"new": 70', '"new": 80')
ALIKE = LACKING.replace("rng.randrange(3)", "0")
ELSEWHERE = LACKING.replace('"room": "kitchen", "percent"', '"room": "hall", "percent"')


def said(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


FIRST = said("set_heating", '{"room": "bathroom", "degrees": 19}')
SAME = said("set_light", '{"room": "bathroom", "percent": 50}')
GUESSED = said("set_light", '{"room": "kitchen", "percent": 40}')
LESSONS = [
    Lesson("It is 22 in the bathroom, bring it down to 19.", FIRST, (UNTYPED, COUNTED, TWO)),
    Lesson("Done: 50 in the bathroom.\n\nUser: Make it 70 instead.", SAME, (OTHER, CHANGED)),
    Lesson("I slept badly. Dim the lights to 40.", GUESSED, (ALIKE, ELSEWHERE)),
]
CHECKS = ["runs", "deterministic", "anchored", "diverse", "telling", "instructor"]
"""What refuses: a value of another type, a row that hangs on those before, other gold calls, one phrasing, another wrong call; the end."""
