"""Word problems with their solutions, and programs that the embedded instructor writes for them."""

import random

from errata.programs.instructor.offline.word_problems.emit import write

STICKERS = (
    "Mary had 89 stickers. She used 3 large stickers on the front page and 7 stickers each on 6 other pages of her journal. "
    "How many stickers does Mary have remaining?",
    "Mary added 7 stickers/page * 6 pages= <<7*6=42>>42 stickers.\nIn total she added 3 large stickers + 42 stickers = "
    "<<3+42=45>>45 stickers.\nSo she now has 89 - 45 = <<89-45=44>>44 stickers left.\n#### 44",
)

DRIVERS = (
    "A company has 200 employees. 60% of the employees drive to work and 15% walk. How many employees neither drive nor walk?",
    "200*.60=<<200*.60=120>>120 drive.\n200*.15=<<200*.15=30>>30 walk.\nSo 200-120-30=<<200-120-30=50>>50 do neither.\n#### 50",
)

LEFT = (
    "Ann has 12 apples and buys 2 bags of 5 apples. She eats 4. How many apples are left?",
    "She buys 2*5=<<2*5=10>>10 apples.\nThen she has 12+10=<<12+10=22>>22.\nSo 22-4=<<22-4=18>>18 are left.\n#### 18",
)
WRONG = [
    ("She buys 2*5=<<2*5=10>>10 apples.\nThen she has 12+10=<<12+10=22>>22.\nSo 22+4=<<22+4=26>>26 are left.\n#### 26", "wrong operation"),
    ("She buys 2*5=<<2*5=10>>10 apples.\nThen she has 12+10=<<12+10=22>>22.\n#### 22", "step is missing"),
    ("She buys 2*5=<<2*5=11>>11 apples.\n12+11=<<12+11=23>>23.\n23-4=<<23-4=19>>19\n#### 19", "slip of arithmetic"),
    ("She buys 2*5=<<2*5=10>>10 apples.\n13+10=<<13+10=23>>23.\n23-4=<<23-4=19>>19\n#### 19", "copied wrong"),
]
"""Wrong responses to LEFT, and what is said of each."""


def program(item: tuple[str, str], response: str = "") -> dict:
    space: dict = {}
    exec(write(*item, response, "e1", "a skill"), space)
    return space


def drawn(space: dict, count: int = 100) -> list[dict]:
    return [space["draw"](random.Random(f"{i}"), 1 + i % 5) for i in range(count)]


def chain(question: str, reference: str) -> dict:
    return program((question, reference))
