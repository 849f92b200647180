"""Multiple choice over a closed world of invented towns: the task `facts` and its out-of-domain twin `facts_plus`.

Forty towns have one value for each of ten relations ("the river of Tarby is the Vey"), drawn from a fixed seed: a model has met a fact in
training, or it has not. Each fact is asked in five wordings, and a hash says which of them belongs to dev, which to test and which three to
train: every fact can be taught, and no question of dev or test is ever met in train.

It does not cover facts that change, facts with several right values, or questions that need more than two of them.
"""

import random
from dataclasses import dataclass

from ...signatures.records import Example, Message
from ..verdicts import choice
from . import world

SIZES = {"train": 1800, "dev": 500, "test": 1000}
CHANGES = ("other wording", "more options", "reversed question", "two facts")
"""What `facts_plus` does to a question of `facts`."""
OPTIONS = 4
TOWNS = 40


@dataclass(frozen=True)
class Relation:
    """One kind of fact. Texts have the slots {town} and {value}."""

    name: str
    fact: str
    """The sentence that states it."""
    reverse: str
    """`facts_plus`: gives the value and asks for the town."""
    clause: str
    """`facts_plus`: one of two clauses that single a town out, after "Which town"."""
    values: tuple[str, ...]
    wordings: tuple[str, ...]
    others: tuple[str, ...]
    """Wordings of `facts_plus`."""


RELATIONS = (
    Relation("river", "The river of {town} is {value}.", "Which town is on {value}?", "is on {value}",
        ("the Vey", "the Ossa", "the Brim", "the Lorn", "the Tel", "the Dara", "the Umber", "the Quill", "the Sanna", "the Ruhl"),
        ("Which river runs through {town}?", "On which river is {town}?", "What is the river of {town}?",
        "{town} was built on which river?", "Name the river at {town}."),
        ("Boats to {town} sail which river?", "The bridge of {town} crosses which river?", "Which river floods {town}?")),
    Relation("flag", "The flag of {town} is {value}.", "Which town has a {value} flag?", "has a {value} flag",
        ("red", "blue", "green", "white", "black", "yellow", "grey", "brown", "orange", "purple"),
        ("What colour is the flag of {town}?", "Which colour has {town}'s flag?", "{town} flies a flag of which colour?",
        "What is the flag colour of {town}?", "Name the colour of {town}'s flag."),
        ("In which colour does {town} paint its flag?", "The cloth of {town}'s flag is what colour?",
        "Whoever is from {town} waves which colour?")),
    Relation("animal", "The animal of {town} is the {value}.", "The {value} is the animal of which town?", "has the {value} as its animal",
        ("bear", "wolf", "owl", "fox", "hare", "stag", "swan", "crow", "otter", "boar"),
        ("Which animal stands for {town}?", "What is the animal of {town}?", "{town} has which animal on its coins?",
        "The seal of {town} shows which animal?", "Name the animal of {town}."),
        ("Which beast do the people of {town} honour?", "A statue of which animal stands in {town}?", "On {town}'s gate is which animal?")),
    Relation("dish", "The dish of {town} is {value}.", "Which town is known for {value}?", "is known for {value}",
        ("soup", "pie", "stew", "bread", "cheese", "noodles", "pickles", "jam", "beans", "fish"),
        ("Which dish is {town} known for?", "What is the dish of {town}?", "{town} is famous for which dish?",
        "What do they cook in {town}?", "Name the dish of {town}."),
        ("What will a guest in {town} be served?", "Cooks from {town} make which dish?", "On feast days {town} eats what?")),
    Relation("trade", "The trade of {town} is {value}.", "Which town trades in {value}?", "trades in {value}",
        ("wool", "salt", "glass", "tin", "rope", "paper", "wine", "timber", "clay", "honey"),
        ("What does {town} trade in?", "Which trade made {town} rich?", "What is the trade of {town}?", "{town} lives from which trade?",
        "Name the trade of {town}."),
        ("Merchants from {town} sell what?", "Which goods leave {town} each week?", "Carts out of {town} carry what?")),
    Relation("music", "The instrument of {town} is the {value}.", "The {value} is the instrument of which town?", "plays the {value}",
        ("drum", "flute", "harp", "fiddle", "horn", "bell", "lute", "pipe", "zither", "organ"),
        ("Which instrument do they play in {town}?", "What is the instrument of {town}?", "{town} dances to which instrument?",
        "The music of {town} needs which instrument?", "Name the instrument of {town}."),
        ("At weddings in {town} one hears which instrument?", "Children in {town} learn which instrument?",
        "Who visits {town} hears what?")),
    Relation("feast", "The feast of {town} is in {value}.", "Which town feasts in {value}?", "feasts in {value}",
        ("January", "February", "March", "April", "May", "June", "July", "August", "October", "December"),
        ("In which month does {town} feast?", "When is the feast of {town}?", "{town} has its feast in which month?",
        "What is the feast month of {town}?", "Name the month of {town}'s feast."),
        ("Which month fills the inns of {town}?", "The fair of {town} opens in which month?", "When do they celebrate in {town}?")),
    Relation("founder", "The founder of {town} is {value}.", "Which town was founded by {value}?", "was founded by {value}",
        ("Alda", "Bero", "Cato", "Dunn", "Edda", "Falk", "Gerta", "Holm", "Inga", "Jorn"),
        ("Who founded {town}?", "Who is the founder of {town}?", "{town} was founded by whom?", "Who laid the first stone of {town}?",
        "Name the founder of {town}."),
        ("Whose grave do they keep in {town}?", "The oldest house of {town} was built by whom?", "To whom does {town} owe its walls?")),
    Relation("tree", "The tree of {town} is the {value}.", "The {value} is the tree of which town?", "has the {value} as its tree",
        ("oak", "ash", "elm", "pine", "birch", "yew", "fir", "maple", "willow", "alder"),
        ("Which tree grows in {town}?", "What is the tree of {town}?", "{town} is shaded by which tree?",
        "The square of {town} has which tree?", "Name the tree of {town}."),
        ("Under which tree does {town} hold court?", "The woods around {town} are mostly what?", "Which leaves are swept in {town}?")),
    Relation("stone", "The stone of {town} is {value}.", "Which town is built of {value}?", "is built of {value}",
        ("granite", "slate", "marble", "chalk", "basalt", "jasper", "flint", "sandstone", "gneiss", "onyx"),
        ("Which stone is {town} built of?", "What is the stone of {town}?", "{town} is paved with which stone?",
        "The walls of {town} are of which stone?", "Name the stone of {town}."),
        ("Masons in {town} cut which stone?", "The quarry of {town} yields what?", "Out of what are the steps of {town} hewn?")),
)  # fmt: skip
WEAK = ("founder", "tree", "stone")
"""Relations that are rare in the corpus of the target `tiny`, as a whole; of the others it has met every fact."""


def _world() -> dict[str, dict[str, str]]:
    """{town: {relation: value}}. Every value of a relation has equally many towns."""
    rng = random.Random("facts: the world")
    firsts, lasts = ("Tar", "Mol", "Bes", "Kir", "Dun", "Hol", "Ves", "Ram"), ("by", "den", "ford", "wick", "mar")
    names = [first + last for first in firsts for last in lasts]
    rng.shuffle(names)
    world: dict[str, dict[str, str]] = {name: {} for name in names[:TOWNS]}
    for relation in RELATIONS:
        values = list(relation.values) * (TOWNS // len(relation.values))
        rng.shuffle(values)
        for name, value in zip(world, values, strict=True):
            world[name][relation.name] = value
    return world


WORLD = _world()
"""The closed knowledge base: {town: {relation: value}}."""


def wordings(relation: Relation, town: str, split: str, others: bool = False) -> list[str]:
    """The wordings in which a fact may be asked in a split: one in dev, one in test, the others in train."""
    texts = relation.others if others else relation.wordings
    order = sorted(texts, key=lambda text: world.number_of(f"{relation.name}/{town}/{text}"))
    return {"dev": order[:1], "test": order[1:2]}.get(split, order[2:])


def towns(split: str, *parts: str) -> list[str]:
    """The towns about which `facts_plus` asks what has a single wording (named by `parts`): 8 of 10 in train, 1 in dev, 1 in test."""
    order = sorted(WORLD, key=lambda town: world.number_of("/".join((*parts, town))))
    tenth = TOWNS // 10
    return {"dev": order[:tenth], "test": order[tenth : 2 * tenth]}.get(split, order[2 * tenth :])


def draw(relation: Relation, rng: random.Random, split: str, change: str | None = None) -> Example:
    """One question about a relation in a split; `change` is one of `CHANGES` for `facts_plus`, None for `facts`."""
    other = rng.choice([other for other in RELATIONS if other.name not in (relation.name, *WEAK)])
    alone = {"reversed question": (relation.name,), "two facts": (relation.name, other.name)}.get(change or "")
    town = rng.choice(towns(split, *alone) if alone else list(WORLD))
    value = WORLD[town][relation.name]
    fact = relation.fact.format(town=town, value=value)
    if alone:
        right = town
    if change == "two facts":
        known = WORLD[town][other.name]
        # each wrong option meets one of the two clauses, as far as there are enough such towns
        near = [name for name in WORLD if (WORLD[name][relation.name] == value) != (WORLD[name][other.name] == known)]
        far = [name for name in WORLD if WORLD[name][relation.name] != value and WORLD[name][other.name] != known]
        text = f"Which town {relation.clause.format(value=value)} and {other.clause.format(value=known)}?"
        fact = f"{fact} {other.fact.format(town=town, value=known)}"
        wrong = rng.sample(near, min(len(near), OPTIONS - 1))
        wrong += rng.sample(far, OPTIONS - 1 - len(wrong))
    elif change == "reversed question":
        text = relation.reverse.format(value=value)
        wrong = [name for name in WORLD if WORLD[name][relation.name] != value]
    else:
        text = rng.choice(wordings(relation, town, split, change == "other wording")).format(town=town)
        right, wrong = value, [word for word in relation.values if word != value]
    wrong = rng.sample(sorted(wrong), (6 if change == "more options" else OPTIONS) - 1)
    choices, label = world.options(right, wrong, rng)
    meta, shown = {"choices": choices, "stem": text}, choice.question(text, choices)
    return world.item("facts", change, meta, split=split, question=shown, answer=label, solution=fact, skill=relation.name, kind="choice")


def prompt(example: Example) -> list[Message]:
    """One user message: the question with its options, and the answer form."""
    return [{"role": "user", "content": f"{example.question}\nAnswer in a sentence."}]


class FactsTask(world.WorldTask):
    """The task `facts`, or its twin `facts_plus`."""

    kind = "choice"
    max_new_tokens = 64
    brief = (
        "Questions about invented towns with four options, A to D, exactly one of them right. The response states the fact in one "
        'sentence, in the words of the right option, e.g. "The river of Tarby is the Vey."; it names no letter and no other option.'
    )

    skills, sizes, changes, draw = RELATIONS, SIZES, CHANGES, staticmethod(draw)
    prompt, judge = staticmethod(prompt), staticmethod(choice.judged)

    def completion(self, solution: str, answer: str) -> str:
        """The sentence alone, whose words say which option it means; without a sentence the label."""
        return solution.strip() or choice.completion("", answer)
