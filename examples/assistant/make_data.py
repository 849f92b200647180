"""Writes train.jsonl, dev.jsonl and test.jsonl beside itself: chats with an assistant that has the functions of tools.json.

    python examples/assistant/make_data.py

A turn asks for one thing or for two, or for what no function does, or leaves out what a function needs: then no call is right. Days are
counted from the one that a system turn tells. What is asked for is taken back, corrected, or said in an earlier turn; rooms and numbers
that are beside the point are mentioned; some words are mistyped. The same rows on any machine.
"""

import json
import random
from datetime import date, timedelta
from pathlib import Path

SIZES = {"train": 320, "dev": 110, "test": 110}
ROOMS = ["kitchen", "bedroom", "bathroom", "hall", "office"]
NAMES = ["Ann", "Omar", "Mei", "Luca", "Priya", "Jonas", "Zoe", "Ivan", "Chloe", "Kofi", "Sara", "Tomas", "Ines", "Raj", "Nora", "Hugo"]
TITLES = [
    "dentist",
    "lunch with {}",
    "swimming",
    "parents' evening",
    "call with {}",
    "yoga",
    "haircut",
    "dinner at {}'s",
    "choir",
    "car service",
]
DISHES = ["eggs", "rice", "tea", "pizza", "washing", "bread", "pasta", "cake"]
TEXTS = [
    "I am running late",
    "the keys are under the mat",
    "dinner is at eight",
    "please buy milk",
    "happy birthday",
    "I found your umbrella",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
IDLE = [
    "I just came home.", "It was 14 degrees outside today.", "We have guests in the office on Friday.", "My sister says hello.",
    "The bathroom has no window, you know.", "I slept badly.", "It is getting dark early now.", "Good morning!", "One more thing.",
]  # fmt: skip
PRAISE = ["Thanks, that was all.", "You are quick today.", "Good night!", "Never mind, I did it myself.", "That is kind of you."]
BEYOND = [
    ("Order a pizza for {}.", "I cannot order food."), ("Play some music in the {room}.", "I cannot play music."),
    ("Is the front door locked?", "I cannot see the doors."), ("What is the weather like in Lisbon?", "I do not know the weather."),
    ("Close the blinds in the {room}.", "I cannot move blinds."), ("Book me a flight to Oslo.", "I cannot book flights."),
    ("Translate 'good luck' into Danish.", "I can only help with the house, timers, the calendar and messages."),
]  # fmt: skip
Call = dict


def call(name: str, **arguments) -> Call:
    return {"name": name, "arguments": arguments}


def light(rng, day):
    room, percent = rng.choice(ROOMS), rng.choice([0, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 100])
    other = rng.choice([one for one in ROOMS if one != room])
    if percent == 0:
        said = [
            f"turn off the lights in the {room}",
            f"it is too bright in the {room}, lights out there",
            f"no light in the {room}, please",
        ]
    elif percent == 100:
        said = [f"put the {room} lights fully on", f"make it as bright as you can in the {room}"]
    else:
        said = [f"dim the {room} to {percent} percent", f"set the lights in the {other}, no, in the {room} to {percent}%",
                f"I want {percent} percent light in the {room}", f"leave the {other} as it is, but the {room} at {percent}"]  # fmt: skip
    return rng.choice(said), call("set_light", room=room, percent=percent)


def heating(rng, day):
    room, degrees = rng.choice(ROOMS), rng.choice([15, 16, 17, 18, 18.5, 19, 19.5, 20, 20.5, 21, 21.5, 22, 23, 24])
    other = rng.choice([one for one in ROOMS if one != room])
    said = [f"heat the {room} to {degrees} degrees", f"it is {degrees + 3} in the {room}, bring it down to {degrees}",
            f"make the {room} {degrees} degrees warm, not the {other}", f"I'd like {degrees} °C in the {room}",
            f"the {other} is fine, but the {room} should have {degrees} degrees"]  # fmt: skip
    return rng.choice(said), call("set_heating", room=room, degrees=degrees)


def timer(rng, day):
    minutes, dish = rng.choice([3, 4, 5, 7, 8, 10, 12, 15, 20, 25, 30, 40, 45, 60, 90]), rng.choice(DISHES)
    words = {30: "half an hour", 45: "three quarters of an hour", 60: "an hour", 90: "an hour and a half"}.get(
        minutes, f"{minutes} minutes"
    )
    named = [
        f"set a timer of {words} for the {dish}",
        f"the {dish} takes {words}, ring when it is done",
        f"wake me when the {dish} has had {words}",
    ]
    bare = [f"ring in {words}", f"set a timer: {words}", f"tell me when {words} are over"]
    if rng.random() < 0.65:
        return rng.choice(named), call("set_timer", minutes=minutes, label=dish)
    return rng.choice(bare), call("set_timer", minutes=minutes)


def some_day(rng, day):
    """A day as people say it, and its date."""
    ahead = rng.choice([0, 1, 1, 2, 3, 4, 5, 6, 9, 12])
    then = day + timedelta(ahead)
    said = [
        f"on {MONTHS[then.month - 1]} {then.day}",
        f"on the {then.day}{'th' if 4 <= then.day % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(then.day % 10, 'th')}",
    ]
    said += {0: ["today", "today"], 1: ["tomorrow", "tomorrow"], 2: ["the day after tomorrow"]}.get(ahead, [])
    said += [f"on {DAYS[then.weekday()]}"] * (2 if 2 <= ahead <= 6 else 0) + [f"in {ahead} days"] * (ahead > 1)
    return rng.choice(said), then.isoformat()


def event(rng, day):
    title, (when, iso) = rng.choice(TITLES).format(rng.choice(NAMES)), some_day(rng, day)
    hour, minute, length = rng.choice(range(8, 20)), rng.choice([0, 0, 15, 30, 30, 45]), rng.choice([None, None, 30, 45, 90, 120])
    half = "am" if hour < 12 else "pm"
    clock = rng.choice([f"{hour:02}:{minute:02}", f"{(hour - 1) % 12 + 1}{f':{minute:02}' if minute else ''} {half}"])
    span = "" if length is None else rng.choice([f", {length} minutes", f" for {length} minutes"])
    said = [f"put {title} into my calendar {when} at {clock}{span}", f"I have {title} {when}, {clock}{span}, write it down",
            f"add {title} at {clock} {when}{span}", f"{when} at {clock} there is {title}{span}; please note that"]  # fmt: skip
    return rng.choice(said), call(
        "add_event", title=title, date=iso, time=f"{hour:02}:{minute:02}", **({"minutes": length} if length else {})
    )


def agenda(rng, day):
    when, iso = some_day(rng, day)
    return rng.choice([f"what do I have {when}?", f"am I free {when}?", f"tell me what is in my calendar {when}"]), call(
        "find_events", date=iso
    )


def message(rng, day):
    name, text = rng.choice(NAMES), rng.choice(TEXTS)
    said = [f"tell {name}: {text}", f'write "{text}" to {name}', f"send {name} a message that says {text}", f"{name} should know: {text}"]
    return rng.choice(said), call("send_message", to=name, text=text)


ASKS = [light, heating, timer, event, agenda, message]
DATED = (event, agenda)


def sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else ".")


def mistyped(rng, text: str) -> str:
    """With two letters of a longer word swapped; what stands in the calls is left alone."""
    safe = ["please", "lights", "degrees", "minutes", "calendar", "percent", "message", "timer", "tomorrow"]
    word = next((word for word in rng.sample(safe, len(safe)) if word in text), None)
    if word is None or rng.random() > 0.2:
        return text
    place = rng.randrange(1, len(word) - 2)
    return text.replace(word, word[:place] + word[place + 1] + word[place] + word[place + 2 :], 1)


def one(rng, asks, day):
    said, called = rng.choice(asks)(rng, day)
    text = sentence(said)
    if rng.random() < 0.35:
        text = f"{rng.choice(IDLE)} {text}"
    return text, [called]


def two(rng, asks, day):
    (first, one_call), (second, other_call) = (ask(rng, day) for ask in rng.choices(asks, k=2))
    joined = rng.choice(["{}, and {}", "{}. Then {}", "{}; also {}", "{}. Oh, and {}"]).format(first.rstrip("?."), second)
    return sentence(joined), [one_call] if one_call == other_call else [one_call, other_call]


def corrected(rng, asks, day):
    """Asked for in an earlier turn, done, and now changed."""
    room, name = rng.choice(ROOMS), rng.choice(["set_light", "set_heating"])
    what, value, new = (
        ("percent", *rng.sample(range(10, 100, 10), 2)) if name == "set_light" else ("degrees", *rng.sample(range(16, 25), 2))
    )
    thing = "lights" if name == "set_light" else "heating"
    before = [("user", f"Set the {thing} in the {room} to {value}."), ("assistant", [call(name, room=room, **{what: value})]),
              ("tool", '{"ok": true}'), ("assistant", f"Done: {value} in the {room}.")]  # fmt: skip
    other = rng.choice([one for one in ROOMS if one != room])
    if rng.random() < 0.5:
        return (
            before,
            rng.choice([f"Make it {new} instead.", f"No, I meant {new}.", f"Hm, {new} is better."]),
            [call(name, room=room, **{what: new})],
        )
    return (
        before,
        rng.choice([f"The same in the {other}.", f"And the {other} too.", f"I was wrong, I meant the {other}."]),
        [call(name, room=other, **{what: value})],
    )


def asked_back(rng, asks, day):
    """What was missing comes in the next turn."""
    minutes, dish, name, text = rng.choice([4, 6, 9, 11, 14, 35]), rng.choice(DISHES), rng.choice(NAMES), rng.choice(TEXTS)
    pick = rng.randrange(3)
    if pick == 0:
        return (
            [("user", f"Set a timer for the {dish}."), ("assistant", "For how many minutes?")],
            f"{minutes}, please.",
            [call("set_timer", minutes=minutes, label=dish)],
        )
    if pick == 1:
        return (
            [("user", "Send a message: " + text + "."), ("assistant", "Whom shall I send it to?")],
            rng.choice([f"To {name}.", f"{name}, of course."]),
            [call("send_message", to=name, text=text)],
        )
    room, degrees = rng.choice(ROOMS), rng.choice([17, 19, 21, 22.5])
    return (
        [("user", f"It is cold in the {room}."), ("assistant", "How warm would you like it?")],
        f"{degrees} degrees.",
        [call("set_heating", room=room, degrees=degrees)],
    )


def lacking(rng, asks, day):
    room, name, dish = rng.choice(ROOMS), rng.choice(NAMES), rng.choice(DISHES)
    said = [
        (f"Set a timer for the {dish}.", "For how many minutes?"),
        (f"Send {name} a message.", f"What shall I write to {name}?"),
        (f"Change the heating in the {room}.", "How warm would you like it?"),
        ("Dim the lights to 40.", "In which room?"),
        (f"Put lunch with {name} into my calendar.", "On which day, and at what time?"),
        ("Make it 20 degrees.", "In which room?"),
    ]
    return rng.choice(said)


def beyond(rng, asks, day):
    asked, said = rng.choice(BEYOND)
    return asked.format(rng.choice(NAMES), room=rng.choice(ROOMS)), said


def row(rng) -> dict:
    day = date(2026, 1, 5) + timedelta(rng.randrange(330))
    told = rng.random() < 0.5
    asks = ASKS if told else [ask for ask in ASKS if ask not in DATED]
    head = [("system", f"You help at home. Today is {DAYS[day.weekday()]}, {MONTHS[day.month - 1]} {day.day}, {day.year}.")] if told else []
    sort = rng.choices(["one", "two", "corrected", "asked back", "lacking", "beyond", "praise"], [40, 22, 10, 7, 9, 8, 4])[0]
    before: list = []
    if sort in ("one", "two"):
        text, answer = {"one": one, "two": two}[sort](rng, asks, day)
    elif sort in ("corrected", "asked back"):
        before, text, answer = {"corrected": corrected, "asked back": asked_back}[sort](rng, asks, day)
    elif sort == "praise":
        text, answer = rng.choice(PRAISE), rng.choice(["You are welcome.", "All right."])
    else:
        text, answer = {"lacking": lacking, "beyond": beyond}[sort](rng, asks, day)
        text = f"{rng.choice(IDLE)} {text}" if rng.random() < 0.4 else text
    turns = [*head, *before, ("user", mistyped(rng, text)), ("assistant", answer)]
    return {"messages": [turn(role, said) for role, said in turns], "sort": sort}


def turn(role: str, said) -> dict:
    if isinstance(said, str):
        return {"role": role, "content": said}
    made = [{"type": "function", "function": {"name": one["name"], "arguments": json.dumps(one["arguments"])}} for one in said]
    return {"role": role, "content": None, "tool_calls": made}


def main() -> None:
    rng, seen = random.Random("assistant"), set()
    for split, count in SIZES.items():
        rows = []
        while len(rows) < count:
            made = row(rng)
            key = json.dumps(made["messages"][:-1])
            if key not in seen:
                seen.add(key)
                rows.append(made)
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
        Path(__file__).with_name(f"{split}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
