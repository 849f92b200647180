"""The DSPy signatures of the instructor: diagnose an error, write a sample-generation program, repair it.

A signature's docstring is the instruction that the instructor reads, and what prompt optimizers rewrite. Extend one by
subclassing it. The contract of a program is told once, in `CONTRACT`, and checked by `errata.programs.checks`.

What is not here: calling (errata.programs.diagnose, errata.programs.write) and checking what comes back.
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
- Each solution comes to its answer.
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
