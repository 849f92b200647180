"""The DSPy signatures of the instructor: diagnose an error, write a sample-generation program, repair it.

A signature's docstring is the instruction that the instructor reads, and what prompt optimizers rewrite. Extend one by
subclassing it. The contract of a program is told once for each kind of task, in `CONTRACTS`, and kept by `errata.programs.samples.kinds`
and
`errata.programs.samples.checks`.

What is not here: calling (errata.programs.strategies.diagnose, errata.programs.strategies.write) and checking what comes back.
"""

from typing import Literal

import dspy

CONTRACT = """\
Write one Python module. It may import only: {modules}.

def draw(rng, level):      # rng: random.Random; level 1..5, 3 = as hard as the error. Returns JSON-able parameters, a dict.
def make(**params):        # returns {{"question": str, "solution": str, "answer": str (the number)}}. The answer is COMPUTED; the solution
                           # works it out in the form that the task describes, without the last line, which the host adds
def wrong(**params):       # optional: the answer (str) that the misconception gives for the same parameters; None where it gives none
ANCHORS = {{"<failure id>": {{...}}}}   # the parameters for which make() rebuilds the error's own question and gold answer

What is checked, by running it:
- make(**ANCHORS[id]) gives the gold answer of that error, and a question that is recognisably the same problem.
- wrong(**ANCHORS[id]), when given, is the very answer that the model gave; on drawn problems it differs from the right one.
- Each solution comes to its answer, and on the median takes at least half as many calculations as the error's reference solution.
- draw() depends on rng and level alone, and 200 draws give at least 50 distinct problems: vary numbers, wording and what is asked. All of
  them together take a few seconds at most.
- Each row is built alone: no state is kept between calls, nothing is read or written outside the module.

What you must see to: problems are sensible (whole people, no negative counts, answers that come out clean where the error's own does),
and each has one answer.

Example, for the error "Ann has 3 bags of 4 apples and eats 2. How many are left?" answered with 14:

NAMES = ["Ann", "Omar", "Mei", "Luca"]

def draw(rng, level):
    bags, each = rng.randint(2, 4 + 2 * level), rng.randint(3, 4 + 3 * level)
    return {{"name": rng.choice(NAMES), "bags": bags, "each": each, "eaten": rng.randint(1, bags * each - 1)}}

def make(name, bags, each, eaten):
    total = bags * each
    left = total - eaten
    return {{
        "question": f"{{name}} has {{bags}} bags of {{each}} apples and eats {{eaten}}. How many are left?",
        "solution": f"There are {{bags}} * {{each}} = {{total}} apples.\\n{{total}} - {{eaten}} = {{left}} are left.",
        "answer": str(left),
    }}

def wrong(name, bags, each, eaten):
    return str(bags * each + eaten)

ANCHORS = {{"e1": {{"name": "Ann", "bags": 3, "each": 4, "eaten": 2}}}}
"""
"""The contract of a sample program, as the instructor reads it; `{modules}` are the sandbox's modules."""

CHOICE = """\
Write one Python module. It may import only: {modules}.

def draw(rng, level):      # rng: random.Random; level 1..5, 3 = as hard as the error. Returns JSON-able parameters, a dict.
def make(**params):        # returns {{"question": str (without the options), "choices": [str, ...], "answer": str (the text of the right
                           # option), "solution": str (why it is right)}}
def wrong(**params):       # optional: the option (its text) that the misconception picks for the same parameters
ANCHORS = {{"<failure id>": {{...}}}}   # the parameters for which make() rebuilds the error's own question, options and gold answer

What is checked, by running it:
- make(**ANCHORS[id]) gives the error's question, the same options in any order, and the gold option as the answer.
- wrong(**ANCHORS[id]), when given, is the very option that the model chose; on drawn problems it is one of the options, and not the right
  one: draw the distractors from what the model confuses, the closer the higher the level.
- The options are different, and exactly one is right. The host shows them in random order under letters: the solution names options
  by their words, never by a letter.
- Facts stand in a table of the module; write only facts that you are sure of, for each answer that rests on one is solved again without
  it, and dropped where the solves disagree. make() returns "asserted": False where the answer is computed from the question alone.
- draw() depends on rng and level alone, and 200 draws give at least 50 distinct problems, 6 different questions with their right options
  among them: vary what is asked and which way round, not the options alone.
- Each row is built alone: no state is kept between calls, nothing is read or written outside the module.

Example, for the error "Which planet is closest to the Sun? A. Earth B. Venus C. Mars D. Mercury", gold D, answered with B:

PLANETS = {{  # million km from the Sun, mean surface temperature in degrees Celsius
    "Mercury": (58, 167), "Venus": (108, 464), "Earth": (150, 15), "Mars": (228, -65), "Jupiter": (778, -110),
    "Saturn": (1430, -140), "Uranus": (2870, -195), "Neptune": (4500, -200),
}}
ASKS = {{
    "closest": ("Which planet is closest to the Sun?", 0, min), "farthest": ("Which planet is farthest from the Sun?", 0, max),
    "hottest": ("Which planet has the hottest surface?", 1, max), "coldest": ("Which planet has the coldest surface?", 1, min),
}}
TRAPS = {{"closest": "hottest", "hottest": "closest", "farthest": "coldest", "coldest": "farthest"}}

def pick(ask, planets):
    _, column, best = ASKS[ask]
    return best(planets, key=lambda name: PLANETS[name][column])

def draw(rng, level):
    ask, names = rng.choice(sorted(ASKS)), list(PLANETS)
    if level >= 3 and ask in ("closest", "hottest"):
        return {{"ask": ask, "planets": ["Mercury", "Venus", *rng.sample(names[2:], 2)]}}
    return {{"ask": ask, "planets": rng.sample(names, 4)}}

def make(ask, planets):
    answer = pick(ask, planets)
    unit = "{{}} million km from the Sun" if ASKS[ask][1] == 0 else "a surface of {{}} degrees Celsius"
    listed = "; ".join(name + ": " + unit.format(PLANETS[name][ASKS[ask][1]]) for name in planets)
    return {{"question": ASKS[ask][0], "choices": planets, "answer": answer, "solution": f"{{listed}}. So it is {{answer}}."}}

def wrong(ask, planets):   # takes heat for nearness
    other = pick(TRAPS[ask], planets)
    return other if other != pick(ask, planets) else None

ANCHORS = {{"e1": {{"ask": "closest", "planets": ["Earth", "Venus", "Mars", "Mercury"]}}}}
"""
"""The same for questions with options."""

CODE = """\
Write one Python module. It may import only: {modules}.

def draw(rng, level):      # rng: random.Random; level 1..5, 3 = as hard as the error. Returns JSON-able parameters, a dict.
def make(**params):        # returns {{"question": str, "entry_point": str (the function's name), "answer": str (a whole right solution with
                           # its imports), "calls": [str, ...] (at least 3; the literal arguments of one call each, as in "[1, 2], 3"),
                           # "solution": str (optional: the idea in a sentence or two), "examples": False (only where the error's own
                           # question shows neither tests nor examples)}}
def wrong(**params):       # optional: the code that the misconception writes for the same parameters
ANCHORS = {{"<failure id>": {{...}}}}   # the parameters for which make() rebuilds the error's own problem

The question has the form of the error's own: a signature with a docstring in triple quotes, or a sentence. Write no expected value and no
example: the host runs the answer on the calls, and writes the tests and the examples in the question from what it returns.

What is checked, by running it:
- The answer of make(**ANCHORS[id]) passes the error's own tests, and its question is recognisably the same problem.
- wrong(**ANCHORS[id]), when given, behaves on the anchor's calls as the model's code does, value for value, or fails as it does; on drawn
  problems it fails at least one of the tests: choose calls that tell the misconception from the skill.
- The answer runs on every call, at once and without input, and returns numbers, str, bytes, lists, tuples, dicts, sets, bool or None.
- On the median, the answers of drawn problems have at least half as many lines as the reference solution.
- draw() depends on rng and level alone, and 200 draws give at least 50 distinct problems, 6 different solutions among them: vary what the
  function must do, not the calls alone. A training set takes the same solution four times at most, so put parameters into the solution.
- Each row is built alone: no state is kept between calls, nothing is read or written outside the module.

Example, for the error "def count_multiples_of_3(numbers: list) -> int: Count the multiples of 3 in a list.", where the model's code
leaves out the negative ones:

JOBS = {{
    "count": ("int", "Count the multiples of {{}} in a list.", "len(kept)"),
    "add": ("int", "Add up the multiples of {{}} in a list.", "sum(kept)"),
    "list": ("list", "List the multiples of {{}} in a list, in ascending order.", "sorted(kept)"),
}}

def draw(rng, level):
    divisor, size = rng.randint(2, 4 + 3 * level), 3 + level
    lists = [[rng.randint(-9, 9) * rng.choice([1, divisor]) for _ in range(size)] for _ in range(4)]
    return {{"job": rng.choice(sorted(JOBS)), "divisor": divisor, "lists": lists + [[-divisor, divisor + 1, 5 * divisor], []]}}

def name_of(job, divisor):
    return f"{{job}}_multiples_of_{{divisor}}"

def code(job, divisor, test):
    kind, _, result = JOBS[job]
    head = f"def {{name_of(job, divisor)}}(numbers: list) -> {{kind}}:"
    return f"{{head}}\\n    kept = [number for number in numbers if {{test}}]\\n    return {{result}}\\n"

def make(job, divisor, lists):
    kind, doc, _ = JOBS[job]
    return {{
        "question": f"def {{name_of(job, divisor)}}(numbers: list) -> {{kind}}:\\n    '''{{doc.format(divisor)}}'''\\n",
        "entry_point": name_of(job, divisor),
        "answer": code(job, divisor, f"number % {{divisor}} == 0"),
        "calls": [repr(numbers) for numbers in lists],
        "solution": f"A number is a multiple of {{divisor}} when number % {{divisor}} is 0; that holds for 0 and below 0 too.",
    }}

def wrong(job, divisor, lists):
    return code(job, divisor, f"number > 0 and number % {{divisor}} == 0")

ANCHORS = {{"e1": {{"job": "count", "divisor": 3, "lists": [[3, 4, 9], [-3, 1, 6], [0, 2]]}}}}
"""
"""The same for functions in Python."""

CONTRACTS = {"number": CONTRACT, "choice": CHOICE, "code": CODE}
"""By kind of task; a short text as answer is taught as a number is."""


class DiagnoseError(dspy.Signature):
    """You teach a smaller language model by studying its errors. Find the first step at which its response departs from a right
    solution, and the misconception behind it: what the model believes or skips, in words that would predict its answer to other
    problems of the kind. Judge the item too: when the reference itself is wrong, or the question has more than one fair answer,
    say so instead of inventing an error."""

    task: str = dspy.InputField(desc="what the model is asked to do, and the form of its answers")
    question: str = dspy.InputField(desc="what the model was asked")
    reference: str = dspy.InputField(desc="the reference solution and answer, or `(hidden)`")
    response: str = dspy.InputField(desc="what the model answered; it was judged wrong. `(empty)`: it was not asked; say what is hard here")

    evidence: str = dspy.OutputField(desc="the words of the response where it first departs, and what should stand there")
    verdict: Literal["error", "reference_wrong", "ambiguous"] = dspy.OutputField(
        desc="`error`: the response is wrong; `reference_wrong`: the reference is; `ambiguous`: there is more than one fair answer"
    )
    misconception: str = dspy.OutputField(desc="one to three sentences")
    skill: str = dspy.OutputField(desc="the skill that is missing, two to eight words, the same words for the same skill")
    teach: str = dspy.OutputField(desc="what practice problems must vary, and what they must keep, to teach the skill")


class DiagnoseContrast(DiagnoseError):
    """You teach a smaller language model by studying its errors beside similar questions that it solved. Find the first step at
    which its response departs from a right solution, and the misconception behind it; then name the boundary: what the solved
    questions have in common that the failed one lacks, or the reverse. Judge the item too: when the reference itself is wrong,
    or the question has more than one fair answer, say so instead of inventing an error."""

    solved: str = dspy.InputField(desc="similar questions that the model answered right, with its responses")
    boundary: str = dspy.OutputField(desc="one sentence: what the model can do and what it cannot, across these questions")


class DiagnoseErrors(dspy.Signature):
    """You teach a smaller language model by studying its errors. Several that look alike stand below. Find the kind that most of them
    are of: one skill that is missing and one misconception behind it, in words that would predict the model's answers to other
    problems of the kind. Name the errors that are of this kind; leave out those that are of another, and those whose reference is
    wrong or whose question has more than one fair answer: each of them is looked at alone."""

    task: str = dspy.InputField(desc="what the model is asked to do, and the form of its answers")
    failures: str = dspy.InputField(desc="numbered errors, each with its id, question, reference solution (or `(hidden)`) and response")

    evidence: str = dspy.OutputField(desc="the words of the responses where they first depart, and what should stand there")
    members: list[str] = dspy.OutputField(desc="the ids of the errors that are of this kind")
    verdict: Literal["error", "reference_wrong", "ambiguous"] = dspy.OutputField(
        desc="`error`; the others only when no error is left: the reference is wrong, or there is more than one fair answer"
    )
    misconception: str = dspy.OutputField(desc="one to three sentences")
    skill: str = dspy.OutputField(desc="the skill that is missing, two to eight words, the same words for the same skill")
    teach: str = dspy.OutputField(desc="what practice problems must vary, and what they must keep, to teach the skill")


class WriteProgram(dspy.Signature):
    """Write a sample-generation program which makes practice problems that teach the missing skill. The program proves itself:
    it must rebuild the error's own problem and gold answer from parameters. Follow the contract exactly."""

    contract: str = dspy.InputField(desc="what the program must be, with an example")
    task: str = dspy.InputField(desc="what the model is asked to do, and the form of its answers")
    failure_id: str = dspy.InputField(desc="the key of the error in ANCHORS")
    question: str = dspy.InputField(desc="what the model was asked")
    reference: str = dspy.InputField(desc="the reference solution and answer")
    response: str = dspy.InputField(desc="what the model answered; `(empty)`: it was not asked, write no wrong()")
    skill: str = dspy.InputField(desc="what the model lacks")
    misconception: str = dspy.InputField(desc="what it believes instead")
    teach: str = dspy.InputField(desc="what the problems must vary, and what they must keep")
    boundary: str = dspy.InputField(desc="what the model can do and what it cannot; may be empty. Levels run from the one to the other")

    refusal: str = dspy.OutputField(desc="empty, or the reason why no honest program can be written")
    program: dspy.Code["python"] = dspy.OutputField(desc="the whole module in one fenced block")


class RepairProgram(WriteProgram):
    """A sample-generation program was refused by a check. Write the whole module again so that it passes, with the smallest
    change that removes the cause. Follow the contract exactly."""

    rejected: str = dspy.InputField(desc="the refused program")
    complaint: str = dspy.InputField(desc="the check that refused it, and why")


class WriteForContrast(WriteProgram):
    """Write a sample-generation program which makes practice problems on both sides of a boundary: levels 1 and 2 are problems of the
    kind that the model solved, levels 3 to 5 lie beyond it, where its error lies, 3 as hard as that error; what is crossed on the way
    is what it must learn. The program proves itself: it must rebuild the error's own problem and gold answer from parameters. Follow
    the contract exactly."""

    solved: str = dspy.InputField(desc="similar questions that the model answered right, with its responses")


class RepairForContrast(RepairProgram):
    """A sample-generation program was refused by a check. Write the whole module again so that it passes, with the smallest
    change that removes the cause; levels 1 and 2 stay on the side that the model solved, 3 to 5 on the side of its error. Follow the
    contract exactly."""

    solved: str = dspy.InputField(desc="similar questions that the model answered right, with its responses")


class WriteForErrors(dspy.Signature):
    """Write one sample-generation program which makes practice problems that teach the skill that these errors miss. The program
    proves itself: with an entry in ANCHORS for each error it must rebuild the error's own problem and gold answer from parameters.
    Leave out of ANCHORS the errors whose problem does not fit with the others: each of them gets a program of its own. Follow the
    contract exactly."""

    contract: str = dspy.InputField(desc="what the program must be, with an example")
    task: str = dspy.InputField(desc="what the model is asked to do, and the form of its answers")
    failures: str = dspy.InputField(
        desc="numbered errors, each with its id (its key in ANCHORS), question, reference solution and response; `(empty)`: it was not "
        "asked, write no wrong()"
    )
    skill: str = dspy.InputField(desc="what the model lacks")
    misconception: str = dspy.InputField(desc="what it believes instead")
    teach: str = dspy.InputField(desc="what the problems must vary, and what they must keep")

    refusal: str = dspy.OutputField(desc="empty, or the reason why no honest program can be written")
    program: dspy.Code["python"] = dspy.OutputField(desc="the whole module in one fenced block")


class RepairForErrors(WriteForErrors):
    """A sample-generation program was refused by a check. Write the whole module again so that it passes, with the smallest
    change that removes the cause. Follow the contract exactly."""

    rejected: str = dspy.InputField(desc="the refused program")
    complaint: str = dspy.InputField(desc="the check that refused it, and why")


class RewriteItem(dspy.Signature):
    """Write a sample-generation program which makes new problems like the one below: the same skill, with other numbers, names and
    wordings. The program proves itself: it must rebuild the very problem and its gold answer from parameters. Follow the contract
    exactly."""

    contract: str = dspy.InputField(desc="what the program must be, with an example; where it speaks of an error, the problem is meant")
    task: str = dspy.InputField(desc="what the problems ask for, and the form of answers")
    failure_id: str = dspy.InputField(desc="the key of the problem in ANCHORS")
    question: str = dspy.InputField(desc="the problem")
    reference: str = dspy.InputField(desc="its reference solution and answer")
    response: str = dspy.InputField(desc="always `(empty)`: write no wrong()")

    refusal: str = dspy.OutputField(desc="empty, or the reason why no honest program can be written")
    program: dspy.Code["python"] = dspy.OutputField(desc="the whole module in one fenced block")


class RepairRewrite(RewriteItem):
    """A sample-generation program was refused by a check. Write the whole module again so that it passes, with the smallest
    change that removes the cause. Follow the contract exactly."""

    rejected: str = dspy.InputField(desc="the refused program")
    complaint: str = dspy.InputField(desc="the check that refused it, and why")


class SolveQuestions(dspy.Signature):
    """Answer each question by yourself, one after the other. Where you do not know, or where no answer or more than one is right,
    answer `none` instead of guessing."""

    task: str = dspy.InputField(desc="what is asked, and the form of answers")
    questions: str = dspy.InputField(desc="numbered questions that have nothing to do with each other")

    reasoning: str = dspy.OutputField(desc="a sentence or two a question")
    answers: list[str] = dspy.OutputField(desc="one a question, in their order: the letter, number or word alone")
