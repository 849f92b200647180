"""Train rows of our own making for the embedded instructor: intents of one sentence, tickets of several, orders with lists."""

import json
import random

from errata.programs.instructor.offline.recombine import extract, label
from errata.programs.instructor.offline.recombine.rows import Rows
from errata.signatures.records import Example

ASKS = ("can you", "please", "i want to", "could you please", "i need you to", "")
INTENTS = {
    "reservation": ("book a table for {n} at {place}", "reserve a table at {place} for {n} people", "get us {n} seats at {place} on {day}"),
    "music": ("play {song} by {artist}", "play some {genre}", "put on a {genre} playlist", "turn up {artist}"),
    "weather": ("tell me if it will rain in {city} on {day}", "check the forecast for {city}", "look up how warm {city} is on {day}"),
    "alarm": ("wake me up at {time} on {day}", "set an alarm for {time}", "set a timer for {n} minutes", "cancel my {time} alarm"),
    "calendar": ("book a meeting with {artist} on {day}", "set a reminder for {day}", "cancel my {day} meeting", "get me a slot at {time}"),
}  # fmt: skip
FILL = {
    "n": ("two", "three", "4", "five", "six", "12"),
    "place": ("the harbour", "a thai place", "luigis", "the corner bistro"),
    "day": ("monday", "friday", "sunday", "the 3rd", "the 21st"),
    "song": ("blue moon", "yesterday", "hallelujah"),
    "artist": ("nina", "the band", "omar", "adele"),
    "genre": ("jazz", "techno", "folk music"),
    "city": ("leeds", "oslo", "lima", "kyoto"),
    "time": ("7am", "6:30", "10pm", "8:15"),
}
OPENINGS = ("Hi team,", "Hello,", "Good morning!", "Hey there,", "", "")
IDLE = (
    "I am {name} from {town}.", "My order is {order}.", "I have been with you since {year}.", "It is about order {order}.",
    "I tried the app first.",
)  # fmt: skip
CLOSINGS = ("Thanks, {name}", "Best, {name}", "Please answer soon.", "Thank you!", "")
TICKETS = {
    "billing": ("I was charged twice for {order}.", "The invoice shows {money} but I paid {other}.", "Why was {money} taken twice?"),
    "refund": ("I was charged twice and want my money back.", "Send me back the {money}.", "I returned it in {month}, {money}."),
    "shipping": ("The parcel has not moved since {month}.", "Where is my parcel?", "The driver left it with somebody in {town}."),
    "account": ("I cannot log in since {month}.", "The code for my login never comes.", "Please change my address to {mail}."),
}  # fmt: skip
NAMES, TOWNS = ("Ann", "Omar", "Mei", "Luca", "Ines"), ("Leeds", "Cork", "Bath", "York")


def intents(count: int, seed: int = 0) -> list[Example]:
    rng = random.Random(f"intents:{seed}")
    found = {}
    while len(found) < count:
        label = rng.choice(list(INTENTS))
        text = rng.choice(INTENTS[label]).format(**{name: rng.choice(values) for name, values in FILL.items()})
        found[f"{rng.choice(ASKS)} {text}".strip()] = label
    return [label_row("intents", text, label) for text, label in found.items()]


def tickets(count: int, seed: int = 0) -> list[Example]:
    rng = random.Random(f"tickets:{seed}")
    found = {}
    while len(found) < count:
        label = rng.choice(list(TICKETS))
        idle = rng.sample(IDLE, rng.randint(0, 2))
        middle = [rng.choice(TICKETS[label]), *idle]
        rng.shuffle(middle)
        text = " ".join(filter(None, [rng.choice(OPENINGS), *middle, rng.choice(CLOSINGS)]))
        values = {
            "order": f"#{rng.randint(1000, 99999)}", "money": f"${rng.randint(5, 300)}", "other": f"${rng.randint(5, 300)}.50",
            "year": rng.randint(2009, 2024), "name": rng.choice(NAMES), "town": rng.choice(TOWNS), "month": rng.choice(("May", "June")),
            "mail": f"{rng.choice(NAMES).lower()}@example.org",
        }  # fmt: skip
        found[text.format(**values)] = label
    return [label_row("tickets", text, label) for text, label in found.items()]


def label_row(task: str, text: str, label: str) -> Example:
    return Example(task=task, split="train", question=text, answer=label, kind="label")


THINGS = ("mug", "pen", "lamp", "chair", "notebook", "box")
COUNTS = {"a": 1, "one": 1, "two": 2, "three": 3, "4": 4, "five": 5, "12": 12}
DAYS = {"5 March 2024": "2024-03-05", "March 9th, 2024": "2024-03-09", "21 May 2024": "2024-05-21", "June 2nd, 2024": "2024-06-02"}
FORMS = (
    "{name} wants {items} by {day}{fast}. Send it to {town}.",
    "Please send {items} to {name} in {town}{fast}. It must be there on {day}.",
    "On {day} I need {items} in {town}{fast}! Regards, {name}",
)


def orders(count: int, seed: int = 0) -> list[Example]:
    rng = random.Random(f"orders:{seed}")
    found = {}
    while len(found) < count:
        said, items = [], []
        for thing in rng.sample(THINGS, rng.randint(1, 3)):
            number = rng.choice(list(COUNTS))
            color = rng.choice(("red", "blue", None))
            items.append({"thing": thing, "count": COUNTS[number], "color": color})
            plural = thing + ("" if COUNTS[number] == 1 else "es" if thing == "box" else "s")
            said.append(" ".join(filter(None, [number, color, plural])))
        fast = rng.choice(("", "", " as fast as you can", ", no hurry"))
        day, name, town = rng.choice(list(DAYS)), rng.choice(NAMES), rng.choice(TOWNS)
        joined = ", ".join(said[:-1]) + " and " + said[-1] if len(said) > 1 else said[0]
        text = rng.choice(FORMS).format(name=name, items=joined, day=day, town=town, fast=fast)
        document = {"customer": name, "items": items, "ship": {"to": town, "by": DAYS[day], "express": "fast" in fast}}
        found[text] = json.dumps(document, sort_keys=True)
    return [Example(task="orders", split="train", question=text, answer=answer, kind="json") for text, answer in found.items()]


def json_row(text: str, document: object) -> Example:
    return Example(task="rows", split="train", question=text, answer=json.dumps(document), kind="json")


def said():
    """What the embedded instructor says and writes of errors with a label and with a document."""
    told = []
    for teacher, rows in ((label, tickets(150)), (extract, orders(150))):
        known = Rows(lambda rows=rows: rows)
        for item, other in zip(rows[:8], rows[8:16], strict=True):
            asked = (known, item.question, f"#### {item.answer}", other.answer)
            told += [teacher.diagnose(*asked), teacher.write(*asked, "e1", "a skill", False, False)]
    return told
