"""Writes train.jsonl, dev.jsonl and test.jsonl of this folder: questions to a made-up shop that rents tools, with a reply that meets the
rubric of examples/helpdesk.yaml.

    python examples/helpdesk/make_data.py

The shop's rules stand in the config, before each question. What holds follows from one or two of them and from what the customer tells;
most letters also mention something that does not matter, and one in eight asks for what the rules are silent on. The last wordings of each
list are in dev and test alone; a tenth of the letters hold typing errors. Names, tools and rates are invented here.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

TOOLS = {"drill": 12, "tile cutter": 18, "floor sander": 34, "ladder": 9, "steam stripper": 15, "pressure washer": 22, "carpet cleaner": 26}
"""Tool -> its daily rate, euros."""
PETROL = {"chainsaw": 38, "earth auger": 42, "plate compactor": 55, "cultivator": 48}
NAMES = [
    "Ana",
    "Bilal",
    "Chidi",
    "Dora",
    "Emil",
    "Fatima",
    "Goran",
    "Hana",
    "Ivo",
    "Jun",
    "Kofi",
    "Lena",
    "Mateo",
    "Nadia",
    "Olga",
    "Pavel",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
HELLO = ["", "Hi, ", "Hello, ", "Good morning, ", "Dear team, ", "Hi there, "]
IDLE = [
    "My neighbour {name} told me about your shop.",
    "I am redoing our kitchen this month.",
    "Last year I rented a {other} from you and all went well.",
    "The weather was awful, by the way.",
    "I paid by card.",
    "My friend {name} will help me with the work.",
    "The {other} of my cousin broke after {few} uses, so I rent now.",
    "I live {far} km from my office, so I only get home late.",
    "You were closed when I came by on {day}.",
]
END = ["", "", " Thanks, {name}", " Regards, {name}", " Best wishes, {name}", " {name}"]


def euros(amount: float) -> str:
    return f"{amount:g} euros" if amount == int(amount) else f"{amount:.2f} euros"


Letter = tuple[list[str], str]
"""The ways to write it, in falling order of use, and the reply."""


def late(rng: random.Random) -> Letter:
    tool, rate = rng.choice([*TOOLS.items(), *PETROL.items()])
    begun, hour = rng.randint(0, 3), rng.choice([8, 9, 11, 13, 16, 17, 19, 20])
    day = rng.randrange(5)
    extra = begun + (hour > 18)
    back = f"{DAYS[day]} at {hour}:00" if not begun else f"{begun} day{'s' if begun > 1 else ''} later than agreed, at {hour}:00"
    ways = [
        f"I had the {tool} ({rate} euros a day) until {DAYS[day]} and brought it back {back}. Do I owe you anything more?",
        f"do I pay extra? The {tool} was due on {DAYS[day]}, I returned it {back}, and the rate is {rate} euros.",
        f"the {tool} that I rented for {rate} euros a day came back {back}; {DAYS[day]} was the agreed end. What does that cost me?",
        f"how much is it if a {tool} at {rate} euros a day, which was to end on {DAYS[day]}, is handed in {back}?",
    ]
    if not extra:
        return ways, "No, you owe nothing more: a rental day ends at 18:00, and you were back before that on the agreed day."
    days = f"{extra} more day{'s' if extra > 1 else ''}"
    return (
        ways,
        f"Yes, {euros(extra * rate)} more: a rental day ends at 18:00, so {days} at {rate} euros had begun when the {tool} came back.",
    )


def cancelled(rng: random.Random) -> Letter:
    tool, rate = rng.choice([*TOOLS.items(), *PETROL.items()])
    hours, days = rng.choice([3, 6, 10, 20, 23, 26, 30, 40, 48, 72]), rng.randint(2, 6)
    ways = [
        f"I booked a {tool} for {days} days at {rate} euros a day. It starts in {hours} hours and I must cancel. What will you keep?",
        f"my plans changed: can I still cancel the {tool} ({rate} euros a day, {days} days) {hours} hours before it begins, and for free?",
        f"what does it cost to call off a booking of {days} days with the {tool}, {rate} euros each, when {hours} hours are left?",
        f"{hours} hours before the start I no longer need the {tool}. The booking is {days} days at {rate} euros. Do I lose money?",
    ]
    if hours >= 24:
        return ways, f"You can cancel free of charge, as more than 24 hours are left before the {tool} is due to start."
    return ways, f"We keep {euros(rate / 2)}: fewer than 24 hours are left, and then half of the first day's {rate} euros is kept, no more."


def delivery(rng: random.Random) -> Letter:
    tool, rate = rng.choice([*TOOLS.items(), *PETROL.items()])
    far, days = rng.choice([3, 7, 10, 12, 18, 25, 29, 33, 40, 60]), rng.randint(1, 8)
    ways = [
        f"would you bring the {tool} to me? I live {far} km away and need it for {days} days at {rate} euros.",
        f"what do you charge to deliver a {tool} over {far} km? I would keep it {days} days, at {rate} euros a day.",
        f"I have no car and {far} km to your shop. Can the {tool} be delivered, and for how much? {days} days at {rate} euros.",
        f"is delivery possible to a place {far} km from you? It is about a {tool} for {days} days, {rate} euros a day.",
    ]
    rent = days * rate
    if far > 30:
        return ways, f"No, we cannot bring it: we deliver up to 30 km, and you are {far} km away. You are welcome to collect the {tool}."
    if rent >= 200:
        return ways, f"Yes, and free of charge: your rent is {euros(rent)}, and from 200 euros on delivery up to 30 km costs nothing."
    price, reach = (8, 10) if far <= 10 else (15, 30)
    return ways, f"Yes, for {price} euros: that is what delivery up to {reach} km costs, as your rent of {euros(rent)} is below 200 euros."


def deposit(rng: random.Random) -> Letter:
    tool, petrol = rng.choice([*((one, False) for one in TOOLS), *((one, True) for one in PETROL)])
    amount, days = (100 if petrol else 40), rng.choice([1, 2, 3, 4, 6, 7, 8, 10])
    ways = [
        f"I returned the {tool} {days} working days ago and my deposit is not back yet. Is that normal, and how much is it?",
        f"{days} working days have gone by since I gave back the {tool}. Where is my deposit, and what should I get?",
        f"how long do you take for a deposit? The {tool} has been with you again for {days} working days. Which sum is it?",
        f"my deposit for the {tool} has not come, {days} working days after the return. How much is it and should I worry?",
    ]
    kind = "a tool with a petrol engine" if petrol else f"a {tool}"
    if days <= 5:
        return ways, f"That is normal: the deposit for {kind}, {amount} euros, is paid back within 5 working days of the return."
    return (
        ways,
        f"No, it should be there: the {amount} euros for {kind} are due within 5 working days. A colleague will look into it.",
    )


def damage(rng: random.Random) -> Letter:
    tool = rng.choice([*TOOLS, *PETROL])
    cover, lost, repair = rng.random() < 0.6, rng.random() < 0.25, rng.choice([14, 20, 38, 60, 85, 120, 150])
    took = "I took the cover" if cover else "I did not take the cover"
    what = f"was stolen from my garden; it is worth {repair} euros" if lost else f"fell and the repair is {repair} euros"
    ways = [
        f"the {tool} {what}. {took}. What do I have to pay?",
        f"bad news: your {tool} {what}. How much of that is mine? {took} when I booked.",
        f"{took} for the {tool}, and now it {what}. What does it cost me?",
        f"who pays if the {tool} {what}? For your records: {took}.",
    ]
    if lost:
        return ways, f"You pay the {repair} euros: a tool that is lost or stolen is not covered, with the cover or without it."
    if not cover:
        return ways, f"You pay the whole repair of {repair} euros, as you rented the {tool} without the cover."
    if repair <= 25:
        return ways, f"You pay the {repair} euros: with the cover the customer bears repairs up to 25 euros."
    return ways, f"You pay 25 euros of the {repair} euros: with the cover a repair costs the customer at most 25 euros."


def chainsaw(rng: random.Random) -> Letter:
    age, paper = rng.choice([16, 17, 18, 19, 24, 35, 51]), rng.random() < 0.5
    has = "I have a chainsaw certificate" if paper else "I have no certificate"
    ways = [
        f"I am {age} and want to rent the chainsaw for a weekend. {has}. Is that possible?",
        f"may I rent a chainsaw? {has}, and I am {age} years old.",
        f"{has}, I am {age}. Would you give me a chainsaw?",
        f"what do you need to see before you hand out a chainsaw to somebody of {age}? {has}.",
    ]
    if age >= 18 and paper:
        return ways, "Yes, please bring your certificate: you are of age, and with a certificate we rent the chainsaw to you."
    missing = [text for fails, text in ((age < 18, "one must be 18 or older"), (not paper, "a certificate must be shown")) if fails]
    return ways, f"No, we cannot rent it to you: for a chainsaw {' and '.join(missing)}."


def silent(rng: random.Random) -> Letter:
    tool = rng.choice([*TOOLS, *PETROL])
    ways = [
        f"can I buy the used {tool} from you at the end, and at what price?",
        f"do you give a discount on the {tool} to students?",
        f"would you rent me the {tool} for two months, at a lower daily rate?",
        f"can I pay for the {tool} in three instalments?",
        f"is there somebody who can show me how to use the {tool} on site?",
        f"could you keep the {tool} for me at the shop until ten in the evening?",
    ]
    rng.shuffle(ways)
    return ways, f"I cannot promise that, as our rules say nothing about it. A colleague will get in touch with you about the {tool}."


SKILLS: dict[str, tuple[Callable[[random.Random], Letter], int]] = {
    "late return": (late, 20), "cancelling": (cancelled, 15), "delivery": (delivery, 18), "deposit": (deposit, 12), "damage": (damage, 15),
    "chainsaw": (chainsaw, 8), "silent rules": (silent, 12),
}  # fmt: skip
"""Skill -> what makes its letters, and how many of a hundred."""


def typed(rng: random.Random, text: str) -> str:
    """The text with one to three slips of the keyboard in its longer words."""
    words = text.split(" ")
    for place in rng.sample(range(len(words)), min(len(words), rng.randint(1, 3))):
        word = words[place]
        if len(word) > 4 and word.isalpha():
            at = rng.randrange(1, len(word) - 1)
            words[place] = word[:at] + rng.choice(["", word[at] * 2, word[at + 1] + word[at]]) + word[at + 1 :]
    return " ".join(words)


def item(rng: random.Random, split: str) -> dict[str, str]:
    skill = rng.choices(list(SKILLS), [share for _, share in SKILLS.values()])[0]
    ways, reply = SKILLS[skill][0](rng)
    *ways, reply = (text.replace(" a earth", " an earth") for text in (*ways, reply))
    asked = rng.choice(ways[:-1] if split == "train" else ways)
    fill = {
        "name": rng.choice(NAMES),
        "other": rng.choice(list(TOOLS)),
        "few": rng.randint(2, 9),
        "far": rng.randint(4, 60),
        "day": rng.choice(DAYS),
    }
    idle = rng.choice(IDLE[:-2] if split == "train" else IDLE).format(**fill) if rng.random() < 0.6 else ""
    hello = rng.choice(HELLO)
    asked = asked if hello else asked[0].upper() + asked[1:]
    parts = (
        [f"{hello}{asked}", idle]
        if rng.random() < 0.5 or not idle
        else [f"{hello.replace(', ', '! ')}{idle}", asked[0].upper() + asked[1:]]
    )
    text = " ".join(filter(None, parts)) + rng.choice(END).format(name=rng.choice(NAMES))
    return {"question": typed(rng, text) if rng.random() < 0.1 else text, "answer": reply, "skill": skill}


def main() -> None:
    rng, seen = random.Random(14), set()
    for split, count in {"test": 80, "dev": 80, "train": 320}.items():
        rows = []
        while len(rows) < count:
            row = item(rng, split)
            if row["question"] not in seen:
                seen.add(row["question"])
                rows.append(row)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (Path(__file__).parent / f"{split}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
