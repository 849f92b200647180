"""What a strong instructor may answer to three errors on examples/tickets: programs for labels, and one that each check refuses."""

from loopback import Lesson

REFUND = """
ASKED = {
    "refund": [
        "You have taken {sum} in {month} although the {plan} plan had ended. The invoice is clear to me, just return the sum to my card.",
        "Please credit the {sum} to my card, we never used the {seats} extra seats.",
        "We paid {sum} for {seats} seats by mistake. No questions about the bill, I would only like to have it paid back.",
    ],
    "billing": [
        "You have taken {sum} in {month} although the {plan} plan had ended. It need not come back, but tell me which invoice it is on.",
        "Please put the {sum} for the {seats} extra seats on a bill of their own.",
        "We paid {sum} for {seats} seats. Nothing is to be paid back, my question is only which month the invoice covers.",
    ],
}
MORE = ["", "I got money back once before.", "Your invoices are easy to read.", "The {plan} plan is fine otherwise."]
SUMS, MONTHS, PLANS = ["$240.00", "35 euros", "$18", "90 EUR", "$7.50"], ["March", "May", "August", "October"], ["Team", "Pro", "Plus"]

def draw(rng, level):
    label = rng.choice(["refund", "billing"])
    more = rng.randrange(1, 4) if level > 2 else 0
    return {"label": label, "told": rng.randrange(3), "more": more, "sum": rng.choice(SUMS), "month": rng.choice(MONTHS),
            "plan": rng.choice(PLANS), "seats": rng.randint(2, 60)}

def make(label, told, more, **slots):
    return {"question": (ASKED[label][told] + " " + MORE[more]).strip().format(**slots), "answer": label}

def wrong(label, **rest):
    return "billing" if label == "refund" else None

ANCHORS = {"e1": {"label": "refund", "told": 1, "more": 0, "sum": "$240.00", "month": "May", "plan": "Pro", "seats": 18}}
"""

LOGIN = """
ASKED = {
    "login": [
        "Your page tells me that my account is locked after {count} attempts. Please unlock it.",
        "I type my password on {device}, wait {count} minutes for the code, and it is refused. How do I get in?",
        "Nobody in my team of {count} knows the password of the account that {name} set up on {device}.",
    ],
    "bug": [
        "Your page tells me that my list is empty after {count} notes. Please look into it.",
        "I am signed in on {device}, open the list, wait {count} minutes, and it freezes. What is wrong?",
        "Everybody in my team of {count} sees every note of {name} twice on {device}.",
    ],
}
BEFORE = ["", "Hi there,", "Hello, {name} here.", "I changed my password last week without trouble."]
AFTER = ["", "I have looked through the help pages and found nothing.", "The error of March is gone.", "Thank you in advance, {name}"]
DEVICES, NAMES = ["Linux", "the tablet", "my iPad", "Windows", "Android"], ["Okafor", "Priya", "Marta", "Diego", "Huang"]

def draw(rng, level):
    return {"label": rng.choice(["login", "bug"]), "told": rng.randrange(3), "before": rng.randrange(4), "after": [rng.randrange(4)],
            "count": rng.randint(2, 9), "device": rng.choice(DEVICES), "name": rng.choice(NAMES)}

def make(label, told, before, after, **slots):
    parts = [BEFORE[before], ASKED[label][told], *(AFTER[place] for place in after)]
    return {"question": " ".join(part for part in parts if part).format(**slots), "answer": label,
            "solution": "The customer asks to get in." if label == "login" else "The customer is in, and something does not work."}

def wrong(label, **rest):
    return {"answer": "bug", "solution": "Something does not work."} if label == "login" else None

ANCHORS = {"e1": {"label": "login", "told": 0, "before": 1, "after": [1, 3], "count": 4, "device": "Linux", "name": "Okafor"}}
"""

LEAVING = """
ASKED = {
    "cancellation": [
        "I want to leave. Delete my account with all notes, please.",
        "From {month} on we need none of the {seats} seats, so let the contract run out.",
        "It was good while it lasted, but this is my notice for {month} after {seats} weeks.",
    ],
    "feature_request": [
        "I want to stay. A button that deletes old notes from {month} would be nice, please.",
        "In {month} we needed {seats} seats for a day only, so let us rent seats by the day some time.",
        "Good as it is, but a yearly look back at {month} and the other months would please all {seats} of us.",
    ],
}
MONTHS = ["March", "May", "August", "October"]

def draw(rng, level):
    return {"label": rng.choice(sorted(ASKED)), "told": rng.randrange(3), "seats": rng.randint(2, 80), "month": rng.choice(MONTHS)}

def make(label, told, **slots):
    return {"question": "Hi there, " + ASKED[label][told].format(**slots) + " Thanks", "answer": label}

def wrong(label, **rest):
    return "feature_request" if label == "cancellation" else None

ANCHORS = {"e1": {"label": "cancellation", "told": 0, "seats": 3, "month": "May"}}
"""


def but(source: str, old: str, new: str) -> str:
    """The program with one thing changed."""
    assert old in source
    return source.replace(old, new)


CHOSEN = 'rng.choice(["refund", "billing"])'
LESSONS = [
    Lesson(
        "Please credit the $240.00 to my card",
        "billing",
        (
            but(REFUND, '"answer": label}', '"answer": label + "s"}'),
            but(REFUND, CHOSEN, '"billing" if rng.random() < 0.95 else "refund"'),
            REFUND,
        ),
    ),
    Lesson(
        "my account is locked after 4 attempts",
        "This looks like a **bug**.",
        (
            but(LOGIN, '"e1": {"label": "login"', '"e1": {"label": "bug"'),
            but(LOGIN, '"told": rng.randrange(3)', '"told": COUNTER.append(0) or len(COUNTER) % 3').replace(
                "\nASKED", "\nCOUNTER = []\nASKED", 1
            ),
            LOGIN,
        ),
    ),
    Lesson(
        "Hi there, I want to leave. Delete my account with all notes, please. Thanks",
        "feature_request",
        (
            but(LEAVING, '"told": rng.randrange(3)', '"told": 1'),
            but(LEAVING, 'return "feature_request" if', 'return "bug" if'),
            LEAVING,
        ),
    ),
]
CHECKS = ["runs", "balanced", "anchored", "deterministic", "diverse", "telling"]
"""What refuses them, in their order; the last program passes, and the independent solves disagree with it."""


def solve(question: str) -> str:
    """The label that an independent solve gives: right but for the texts of LEAVING, which it takes for refunds."""
    if question.startswith("Hi there, ") and question.endswith(" Thanks"):
        return "refund"
    marks = {
        "refund": ("return the sum", "credit the", "paid back."),
        "billing": ("which invoice", "a bill of", "which month"),
        "login": ("locked", "get in", "password of"),
    }
    return next((label for label, some in marks.items() if any(mark in question for mark in some)), "bug")
