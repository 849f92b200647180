"""Writes train.jsonl, dev.jsonl and test.jsonl of this folder: support tickets of a made-up service for notes, with one of six labels each.

    python examples/tickets/make_data.py

The label is what the customer asks for. Most tickets also mention something that another label is about: a refund that came last year, a
password that works again. So no single word decides. Of the 14 wordings of each label's requests two are in train alone and three in dev
and test alone; a tenth of the tickets hold typing errors. Wordings, names and figures are invented here.
"""

import json
import random
from pathlib import Path

SHARES = {"billing": 30, "bug": 24, "refund": 16, "login": 14, "cancellation": 10, "feature_request": 6}
"""Tickets of a hundred, by label: some are rare, as they are at a help desk."""

REQUESTS = {
    "billing": [
        "Why was I charged {amount} in {month}? My plan is supposed to cost {less}.",
        "My {month} invoice shows {seats} seats, but we are only {few} people. Can you correct the invoice?",
        "Could you put our VAT number on the {month} invoice?",
        "I need a receipt for the {amount} that you took on {day} {month}.",
        "There are two charges of {amount} on my card statement. Please explain what the second one is for.",
        "How do I change the card that the {plan} plan is paid with?",
        "Can we pay the {plan} plan by bank transfer from {month} on?",
        "The price went up to {amount} and nobody told us. What exactly are we paying for?",
        "Please send all bills to {mail} instead of my address.",
        "Is the {amount} on my account due now or at the end of {month}?",
        "I see a payment of {amount} that I cannot match with any invoice. Which period is it for?",
        "Your mail says that my payment failed, but my bank says {amount} left the account. Which is true?",
        "We moved from monthly to yearly. Does the {amount} include the days that we had paid already?",
        "The company name on the bill is still the old one, it has to read {name} Ltd.",
    ],
    "refund": [
        "I was charged {amount} twice in {month} and I want the second payment back.",
        "Please return the {amount} that you took on {day} {month}.",
        "I bought the {plan} plan by mistake an hour ago. Can I have my money back?",
        "The renewal of {amount} went through although I had switched it off. Kindly reverse it.",
        "I would like to be reimbursed for {month}, since the {feature} did not work for most of it.",
        "Please credit the {amount} to my card, we never used the {seats} extra seats.",
        "How long does it take until the {amount} that you promised me is back on my card?",
        "You offer a 30 day guarantee, and I am making use of it: {amount}, paid on {day} {month}.",
        "My son ordered {seats} seats without asking. I hope that you can undo the payment.",
        "I paid for a year, used it for {few} weeks, and ask for the rest of the sum.",
        "We were billed {amount} instead of {less}. Send the difference back, please.",
        "It has been {few} weeks and the {amount} still has not arrived on my account. Where is it?",
        "Could you pay out the {less} of credit that is left on my account?",
        "I do not need an explanation of the charge, I need the {amount} back.",
    ],
    "login": [
        "I cannot get into my account any more, it says that {mail} is unknown.",
        "The reset mail for my password never arrives at {mail}.",
        "My phone is gone and with it the codes for signing in. How do I get in now?",
        "Your page tells me that my account is locked after {few} attempts. Please unlock it.",
        "I changed my mail address and now neither the old nor the new one is accepted at sign-in.",
        "Since {day} {month} I am sent back to the sign-in page as soon as I have typed my password.",
        "A colleague who left set up the account for {name} Ltd, and nobody here knows the password.",
        "The link in the reset mail says that it has expired, even when I click it at once.",
        "It asks for a code from an app that I have never set up. Can you switch that off for {mail}?",
        "Signing in with my company account ends with 'not a member of this workspace'.",
        "I am locked out on my laptop, and my pin is not taken on the phone either.",
        "My user name seems to have been given to somebody else. I need to get to my notes.",
        "Somebody has changed my password, and it was not me. Please give me my account back.",
        "The sign-in code arrives {few} minutes late, and then it is not valid any more.",
    ],
    "bug": [
        "The {feature} has stopped working on {device} since the last update.",
        "When I open the {feature}, the app freezes and I have to close it.",
        "Notes that I write on {device} do not show up on my other devices.",
        "The {feature} shows everything twice. It did not do that in {month}.",
        "I get 'error {code}' whenever I try to use the {feature}.",
        "All pictures in my notes are black on {device}. They look right in the browser.",
        "After the update the {feature} takes {few} minutes to open on {device}.",
        "The button for the {feature} does nothing at all when I click it.",
        "The payment page stays blank on {device}, so I cannot even see the plans.",
        "Half of my notes from {month} have empty pages, I swear that there was text in them.",
        "The {feature} mixes up dates: {day} {month} becomes the next day.",
        "If I type fast on {device}, letters go missing.",
        "The sign-in page draws its button outside of the screen on {device}, though it can be reached with the tab key.",
        "Your page counts {seats} notes, but the list holds only {few}.",
    ],
    "cancellation": [
        "Please end my {plan} plan on {day} {month}.",
        "I do not want to renew in {month}. What do I have to do?",
        "We are moving to another service, so close the account of {name} Ltd, please.",
        "How do I stop the subscription before the next {amount} are taken?",
        "Take me off the {plan} plan, the free one is enough for me from {month} on.",
        "This is my notice for the {plan} plan, to the earliest possible date.",
        "I want to leave. Delete my account with all notes, please.",
        "Please do not charge me again after {month}, I will not go on with the {plan} plan.",
        "Our project is over and we no longer need the {seats} seats, end them all.",
        "The trial was nice, but make sure that it does not turn into a paid plan on {day} {month}.",
        "I cannot find the place where one quits the {plan} plan.",
        "Kindly confirm that my contract is over at the end of {month}.",
        "My mother has died, and her account ({mail}) should be closed.",
        "I thought that I had unsubscribed, yet the plan is still shown as active. Please finish it for me.",
    ],
    "feature_request": [
        "It would be great if the {feature} worked without a connection.",
        "Could you add a dark theme for the {feature}?",
        "Is there any plan to bring the {feature} to {device}?",
        "I am missing a way to sort notes by size in the {feature}.",
        "We would love to give guests access to single notes without a seat.",
        "Please think about a yearly invoice for teams that are billed by the month.",
        "An export of the {feature} to a spreadsheet would save us hours.",
        "Why not let people sign in with a fingerprint? Other services have it.",
        "My wish for the next version: the {feature} should remember where I was.",
        "A shortcut for the {feature} on {device} is what I want most.",
        "Would it be possible to show the price in other currencies?",
        "I suggest that the {feature} asks before it deletes anything.",
        "Can you make the {feature} work with a pen?",
        "It should be possible to pause a plan for a month. Something for your list?",
    ],
}
"""What a customer asks for; the first nine of each are in train and elsewhere, two more in train, three in dev and test."""

MENTIONS = {
    "billing": [
        "The invoice for {month} is fine, by the way.",
        "I pay {amount} for the {plan} plan and have never complained about the bill.",
        "Your colleague has cleared up the charge on my card already.",
        "We pay by invoice, if that matters.",
    ],
    "refund": [
        "I got my money back very quickly last year, thank you for that.",
        "I am not asking for a refund.",
        "The refund for {month} has arrived, so that is settled.",
        "A friend was reimbursed once, but that was another story.",
    ],
    "login": [
        "I can sign in without any problem.",
        "My password was reset last week, and that works now.",
        "Signing in took me a while after my holiday, but it went well.",
        "The codes on my new phone work, no worry.",
    ],
    "bug": [
        "The crash of last week is gone, well done.",
        "The {feature} works again since the update.",
        "There was an error {code} in {month}, which you have fixed.",
        "The app runs without any error on {device}.",
    ],
    "cancellation": [
        "I once cancelled, and came back after {few} months.",
        "I do not want to cancel, I like the service.",
        "My brother ended his plan in {month}, I am staying.",
        "Unsubscribing from the newsletter worked, thanks.",
    ],
    "feature_request": [
        "The new {feature} that I had asked for is great.",
        "I do not need any new features.",
        "It was a good idea to add the {feature}.",
        "My wish from {month} has come true, thanks.",
    ],
}
"""What a customer also mentions, and does not ask for."""

CONTEXT = [
    "I have been a customer since {year}.",
    "We are a small team of {few} at {name} Ltd.",
    "I use the {plan} plan, mostly on {device}.",
    "I am writing for the second time.",
    "This is rather urgent, as I travel on {day} {month}.",
    "I have looked through the help pages and found nothing.",
    "My account is {mail}.",
    "I am not good with computers, so please be patient.",
    "The chat on your page sent me here.",
    "We have an important meeting on {day} {month}.",
]
OPENINGS = ["Hello,", "Hi there,", "Dear team,", "Good morning,", "Hey", "To whom it may concern,", "Hi {name},"]
ENDINGS = ["Thanks", "Thank you in advance, {name}", "Best regards, {name}", "Cheers, {name}", "Regards", "Please answer soon.", "{name}"]
SLOTS = {
    "amount": ["$19.99", "49 euros", "$120", "£35.50", "79 EUR", "$240.00", "12.90", "£99", "$64"],
    "less": ["$9.99", "29 euros", "$60", "£15", "39 EUR", "$4.50"],
    "month": ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"],
    "day": ["1st", "3rd", "9th", "12th", "15th", "21st", "28th", "30th"],
    "plan": ["Team", "Pro", "Family", "Student", "Business", "Plus"],
    "feature": ["calendar", "search", "export", "shared folder", "reminder list", "drawing board", "scanner", "tag view", "web clipper"],
    "device": ["my iPad", "Android", "Windows", "the Mac", "my old phone", "Linux", "the tablet", "Firefox"],
    "name": ["Nadia", "Tomasz", "Priya", "Keller", "Okafor", "Lindqvist", "Marta", "Huang", "Diego", "Yilmaz", "Aoife", "Bennet"],
    "mail": ["nadia@okafor.example", "info@keller.example", "t.huang@mail.example", "office@lindqvist.example", "marta77@post.example"],
    "few": ["two", "three", "4", "five", "6", "7"],
    "seats": ["12", "15", "20", "25", "40", "18"],
    "code": ["502", "0x80", "E-17", "403", "1009", "77"],
    "year": ["2016", "2018", "2019", "2021", "2023"],
}
FILES = {"train": 420, "dev": 150, "test": 150}


def filled(text: str, customer: dict[str, str], rng: random.Random) -> str:
    """The text with words in its slots: those of the customer, and others by chance."""
    return text.format(**{name: rng.choice(values) for name, values in SLOTS.items()} | customer)


def mistyped(text: str, rng: random.Random) -> str:
    """The text with a few letters swapped, lost or doubled."""
    for _ in range(1 + len(text) // 90):
        place = rng.randrange(1, len(text) - 2)
        if text[place : place + 2].isalpha():
            pair = text[place : place + 2]
            text = text[:place] + rng.choice([pair[::-1], pair[0], pair[0] + pair]) + text[place + 2 :]
    return text


def ticket(label: str, split: str, rng: random.Random) -> str:
    known = REQUESTS[label]
    parts = [rng.choice(known[:11] if split == "train" else [*known[:9], *known[11:]])]
    others = [one for name, some in MENTIONS.items() if name != label for one in some]
    beside = [rng.choice(others)] if rng.random() < 0.6 else []
    beside += [rng.choice(CONTEXT)] if rng.random() < 0.6 else []
    rng.shuffle(beside)
    for one in beside:
        parts.insert(rng.choice([0, len(parts)]), one)
    if rng.random() < 0.5:
        parts.insert(0, rng.choice(OPENINGS))
    if rng.random() < 0.5:
        parts.append(rng.choice(ENDINGS))
    customer = {name: rng.choice(SLOTS[name]) for name in ("plan", "device", "mail", "year")}
    text = " ".join(filled(one, customer, rng) for one in parts)
    if rng.random() < 0.1:
        text = mistyped(text, rng)
    return text.lower() if rng.random() < 0.12 else text


def rows(split: str, count: int, seen: set[str]) -> list[dict[str, str]]:
    """Tickets of a split, each label by its share, none of them in `seen`."""
    rng = random.Random(f"tickets {split}")
    made = []
    for label in [label for label, share in SHARES.items() for _ in range(round(count * share / sum(SHARES.values())))]:
        while (text := ticket(label, split, rng)) in seen:
            pass
        seen.add(text)
        made.append({"text": text, "label": label})
    rng.shuffle(made)
    return made


if __name__ == "__main__":
    seen: set[str] = set()
    for split, count in FILES.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows(split, count, seen)]
        Path(__file__).with_name(f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
