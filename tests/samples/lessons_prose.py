"""What a strong instructor may answer to three errors on examples/helpdesk: programs for prose, and one that each check refuses; how a
reader of the shop's rules answers its questions, and a judge that looks for what the reference decides."""

import re

from loopback import Fields, Lesson

LATE = """
TOOLS, DAYS = ["ladder", "drill", "tile cutter", "floor sander", "chainsaw"], ["Monday", "Tuesday", "Wednesday", "Thursday"]
HELLO = ["Hi,", "Good evening,", "Dear shop,"]

def draw(rng, level):
    return {"tool": rng.choice(TOOLS), "rate": rng.randint(8, 60), "begun": rng.randint(0, 1 + level), "hour": rng.choice([8, 13, 19]),
            "day": rng.choice(DAYS), "hello": rng.choice(HELLO), "told": rng.randrange(3)}

def reply(extra, rate, why):
    return f"Yes, {extra * rate} euros more: {why}, and each begun day costs {rate} euros." if extra else f"No, nothing more: {why}."

def make(tool, rate, begun, hour, day, hello, told):
    when = f"{begun} day{'s' if begun > 1 else ''} later than agreed, at {hour}:00" if begun else f"{day} at {hour}:00"
    asked = [f"{hello} the {tool} that I rented for {rate} euros a day came back {when}; {day} was the agreed end. What does that cost me?",
             f"{hello} is there anything left to pay? You got the {tool} {when}. It costs {rate} euros a day, until {day}.",
             f"{hello} you take {rate} euros a day. If I had your {tool} until {day} and it came {when}, how much do I owe?"]
    extra = begun + (hour > 18)
    return {"question": asked[told], "answer": reply(extra, rate, "a rental day ends at 18:00"), "solution": f"{extra} days had begun."}

def wrong(tool, rate, begun, hour, day, hello, told):
    return reply(begun, rate, "you were late by whole days alone") if hour > 18 else None

ANCHORS = {"e1": {"tool": "ladder", "rate": 9, "begun": 1, "hour": 19, "day": "Tuesday", "hello": "Hi,", "told": 0}}
"""

DELIVERY = """
TOOLS, HELLO = ["floor sander", "drill", "cultivator", "carpet cleaner"], ["Good morning,", "Hello,", "Hi there,", "Dear all,"]

def draw(rng, level):
    far = rng.choice([rng.randint(2, 10), rng.randint(11, 30), rng.randint(31, 70)])
    return {"tool": rng.choice(TOOLS), "far": far, "days": rng.randint(1, 9), "rate": rng.randint(9, 60), "hello": rng.choice(HELLO),
            "end": "", "told": rng.randrange(3)}

def price(far):
    return 8 if far <= 10 else 15

def make(tool, far, days, rate, hello, end, told):
    asked = [f"{hello} what do you charge to deliver a {tool} over {far} km? I would keep it {days} days, at {rate} euros a day.{end}",
             f"{hello} I would like the {tool} brought to my door, {far} km from you. It is {days} days at {rate} euros. Is that possible?",
             f"{hello} if I rent your {tool} for {days} days at {rate} euros, what is the way of {far} km to me?"]
    rent = days * rate
    if far > 30:
        answer = f"No, we are sorry: we deliver up to 30 km, and it is {far} km to you."
    elif rent >= 200:
        answer = f"Yes, and free of charge, because the rent of {rent} euros is at least 200 euros."
    else:
        answer = f"Yes, for {price(far)} euros, as the rent of {rent} euros is below 200 euros."
    return {"question": asked[told], "answer": answer}

def wrong(tool, far, days, rate, hello, end, told):
    return f"Yes, for {price(far)} euros, by the distance." if far <= 30 and days * rate >= 200 else None

ANCHORS = {"e1": {"tool": "floor sander", "far": 29, "days": 6, "rate": 34, "hello": "Good morning,", "end": " Emil", "told": 0}}
"""

CANCEL = """
TOOLS, HELLO = ["tile cutter", "drill", "ladder"], ["Hi,", "Hello,", "Good day,"]

def draw(rng, level):
    return {"tool": rng.choice(TOOLS), "days": rng.randint(2, 9), "rate": rng.randint(8, 60), "hours": rng.randint(13, 23),
            "hello": rng.choice(HELLO), "end": "", "told": rng.randrange(3)}

def make(tool, days, rate, hours, hello, end, told):
    booked = f"I booked a {tool} for {days} days at {rate} euros a day"
    asked = [f"{hello} {booked}. It starts in {hours} hours and I must cancel. What will you keep?{end}",
             f"{hello} what is lost if {hours} hours before the start I call off {days} days with the {tool} at {rate} euros?",
             f"{hello} I no longer need it. {booked}, and {hours} hours are left. Does that cost me money?"]
    if hours > 12:
        return {"question": asked[told], "answer": f"Nothing: cancelling the {tool} is free of charge until 12 hours before the start."}
    return {"question": asked[told], "answer": f"We keep {rate / 2:g} euros, half of the first day's rate."}

def wrong(tool, days, rate, hours, hello, end, told):
    return f"We keep {days * rate} euros, the whole rent."

ANCHORS = {"e1": {"tool": "tile cutter", "days": 5, "rate": 18, "hours": 3, "hello": "Hi,", "end": " Thanks, Fatima", "told": 0}}
"""

ECHO = LATE.replace('"answer": reply(extra, rate, "a rental day ends at 18:00")', '"answer": asked[told]')
UNPASSED = LATE.replace("extra = begun + (hour > 18)", "extra = begun")
STATEFUL = DELIVERY.replace("def draw(rng, level):", "count = [0]\n\ndef draw(rng, level):\n    count[0] += 1").replace(
    '"end": ""', '"end": f" Letter {count[0]}"'
)
ONE_WAY = DELIVERY.replace('"told": rng.randrange(3)', '"told": 0')
TELLS_NOTHING = CANCEL.replace("{days * rate} euros, the whole rent", "{rate / 2:g} euros, half of a day")

LESSONS = [
    Lesson(
        "the ladder that I rented for 9 euros a day came back 1 day later",
        "Yes, 9 euros more, it was one day late.",
        (ECHO, UNPASSED, LATE),
    ),
    Lesson("deliver a floor sander over 29 km? I would keep it 6 days", "Yes, for 15 euros.", (STATEFUL, ONE_WAY, DELIVERY)),
    Lesson("I booked a tile cutter for 5 days at 18 euros", "We keep 18 euros, a whole day.", (TELLS_NOTHING, CANCEL)),
]
CHECKS = ("runs", "anchored", "deterministic", "diverse", "telling")
"""Which refuse a draft; `agreed` refuses the last program, whose rule is wrong where its anchor does not show it."""


def solve(question: str) -> str:
    """What one who knows the shop's rules replies to a question of these programs."""
    number = lambda pattern: int(found[1]) if (found := re.search(pattern, question)) else 0  # noqa: E731
    rate = number(r"(\d+) euros")
    if "km" in question:
        far, rent = number(r"(\d+) km"), rate * number(r"(\d+) days")
        if far > 30:
            return "Sorry, no. That is farther than 30 km."
        return "Yes. It is free of charge." if rent >= 200 else f"Yes, it is {8 if far <= 10 else 15} euros."
    if "hours" in question:
        return f"You lose {rate / 2:g} euros, half a day." if number(r"(\d+) hours") < 24 else "It is free of charge."
    extra = number(r"(\d+) days? later") + (number(r"at (\d+):00") > 18)
    return f"Yes, you owe {extra * rate} euros." if extra else "No, you owe nothing."


def decides(text: str) -> tuple[str, str]:
    """Yes or no, and free or the first amount."""
    word = re.match(r"\W*(?:sorry, )?(yes|no)\b", text.lower())
    amount = re.search(r"free|[\d.]+ euros", text)
    return word[1] if word else "", amount[0] if amount and not (word and word[1] == "no") else ""


def judge(fields: Fields) -> Fields:
    """A judge that passes what decides as the reference does."""
    said, right = decides(fields["response"]), decides(fields["reference"])
    verdict = "pass" if said == right else "fail"
    return {"reason": f"It says {' '.join(said)}, the reference {' '.join(right)}.", "verdict": verdict}


def other(fields: Fields) -> Fields | None:
    """The calls of the judge, and the independent solves."""
    if "rubric" in fields:
        return judge(fields)
    return {"answer": solve(fields["question"])} if fields.keys() == {"task", "question"} else None
