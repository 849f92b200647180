"""Writes train.jsonl, dev.jsonl and test.jsonl beside itself: orders as people write them, and what is ordered as JSON.

    python examples/orders/make_data.py

Names, amounts, dates, typing errors and what is beside the point vary; people change their mind, quote old orders and speak of others.
The same rows on any machine.
"""

import json
import random
from pathlib import Path

SIZES = {"train": 320, "dev": 150, "test": 150}
FIRST = ["Ann", "Omar", "Mei", "Luca", "Priya", "Jonas", "Zoe", "Ivan", "Chloe", "Kofi", "Sara", "Tomas", "Ines", "Raj", "Nora", "Hugo"]
LAST = ["Berg", "Haddad", "Lin", "Rossi", "Patel", "Weber", "Clark", "Petrov", "Martin", "Mensah", "Silva", "Novak", "O'Neill", "Sato"]
THINGS = [
    "desk lamp", "mug", "notebook", "pen", "stapler", "chair", "teapot", "candle", "blanket", "towel", "basket", "mirror", "vase", "bottle",
    "backpack", "umbrella", "clock", "cushion", "tray", "kettle", "picture frame", "plant pot",
]  # fmt: skip
WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten", 12: "a dozen"}
COUNTS = [1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 20, 40]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
BEGIN = [
    "I would like",
    "Please send",
    "We need",
    "Can I order",
    "I'd like to buy",
    "Could you send us",
    "Put me down for",
    "My order:",
    "pls ship",
]
DATED = ["It must be here by {}.", "Please deliver on {}.", "We need it by {}.", "Delivery date: {}.", "Can it arrive on {}?"]
FAST = [
    "Send it by express.", "Express delivery, please.", "I'll pay extra for the fast courier.", "It is urgent, take the quickest way.",
    "Use express this time.", "Normal mail is too slow for this, so express.",
]  # fmt: skip
SLOW = [
    "Standard shipping is fine.", "No hurry, normal mail will do.", "No express needed.", "Last time express was late, so normal mail now.",
    "Not urgent at all.", "", "",
]  # fmt: skip
SIGNED = ["Thanks, {}", "Best, {}", "Regards\n{}", "{}", "- {}", "Yours, {}"]
OPENED = ["This is {}.", "Hi, {} here.", "Hello, my name is {}.", "{} speaking, from the second floor."]
IDLE = [
    "My last order was number {n}.", "You can reach me at 555-0{n}.", "{other} says hello.", "I saw the {thing} in your window, lovely.",
    "Our office has {n} desks.", "I spoke to {other} on the phone.", "The {thing} from last month still works well.",
    "It is a gift for {other}.",
]  # fmt: skip


def typed(rng: random.Random, text: str) -> str:
    """The text with two neighbouring letters swapped, now and then."""
    if rng.random() > 0.06 or len(text) < 5:
        return text
    place = rng.randrange(1, len(text) - 2)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def amount(rng: random.Random, count: int, thing: str) -> str:
    many = thing if count == 1 else f"{thing}es" if thing.endswith("ch") else f"{thing}s"
    many = typed(rng, many)
    if count == 1:
        return f"{rng.choice(['a', 'one', '1'] if many[0] not in 'aeiou' else ['an', 'one', '1'])} {many}"
    if count == 2 and rng.random() < 0.2:
        return f"a pair of {many}"
    said = WORDS[count] if count in WORDS and rng.random() < 0.4 else str(count)
    return rng.choice([f"{said} {many}", f"{said} {many}", f"{many} x{count}", f"{many} ({count})"])


def day(rng: random.Random) -> tuple[str, str]:
    """A date as people write it, and as the answer has it."""
    month, number = rng.randint(1, 12), rng.randint(1, 28)
    name, iso = MONTHS[month - 1], f"2026-{month:02}-{number:02}"
    return rng.choice([iso, f"{number} {name} 2026", f"{name} {number}, 2026", f"{number} {name[:3]} 2026"]), iso


def listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def order(rng: random.Random) -> dict[str, str]:
    customer, other = (f"{rng.choice(FIRST)} {rng.choice(LAST)}" for _ in range(2))
    things = rng.sample(THINGS, rng.choice([1, 1, 2, 2, 2, 3]))
    items = [{"name": thing, "quantity": rng.choice(COUNTS)} for thing in things]
    begin = rng.choice(BEGIN)
    end = "?" if begin.startswith(("Can", "Could")) else "."
    wanted = f"{begin} {listed([amount(rng, one['quantity'], one['name']) for one in items])}{end}"
    if rng.random() < 0.15:  # a change of mind
        items[-1]["quantity"] = rng.choice([one for one in COUNTS if one not in (1, items[-1]["quantity"])])
        wanted += f" Sorry, make that {items[-1]['quantity']} {items[-1]['name']}s."
    elif rng.random() < 0.1:
        wanted += f" I also thought of a {rng.choice([one for one in THINGS if one not in things])}, but leave that out."
    written, iso = day(rng)
    date = iso if rng.random() < 0.75 else None
    express = rng.random() < 0.4
    said = [wanted, rng.choice(DATED).format(written) if date else "", rng.choice(FAST if express else SLOW)]
    if rng.random() < 0.5:
        said.append(rng.choice(IDLE).format(n=rng.randint(11, 99), other=other.split()[0], thing=rng.choice(THINGS)))
    rng.shuffle(said)
    told = " ".join(one for one in said if one)
    if rng.random() < 0.5:
        told = f"{rng.choice(OPENED).format(customer)} {told}"
    else:
        told = f"{told}\n{rng.choice(SIGNED).format(customer)}"
    answer = {"customer": customer, "items": items, "date": date, "express": express}
    return {"email": told, "order": json.dumps(answer, ensure_ascii=False)}


def main() -> None:
    rng = random.Random("orders")
    seen: set[str] = set()
    for split, size in SIZES.items():
        rows: list[dict[str, str]] = []
        while len(rows) < size:
            row = order(rng)
            if row["email"] not in seen:
                seen.add(row["email"])
                rows.append(row)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        Path(__file__).with_name(f"{split}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
