"""The DSPy signatures of the instructor: diagnose an error, write a sample-generation program, repair it.

A signature's docstring is the instruction that the instructor reads, and what prompt optimizers rewrite; extend one by subclassing it. The
contract of a program stands in a file of contracts/, one for each kind of task, and is kept by `errata.programs.samples`.
Does NOT cover: calling (errata.programs.strategies) and checking what comes back.
"""

import re
from pathlib import Path
from typing import Literal

import dspy

_CONTRACTS = Path(__file__).with_name("contracts")
MODULES = ("math", "fractions", "decimal", "statistics", "random", "itertools", "functools", "collections", "heapq", "re", "string",
           "datetime", "json", "copy", "typing")  # fmt: skip
"""The modules that are named to the instructor: those that programs use. The sandbox has more of the standard library."""


PHRASINGS = 3
"""In how many ways a program is asked to phrase its questions."""


def contract(kind: str, example: bool = True, phrasings: int = PHRASINGS) -> str:
    """What a sample program of this kind must be, with or without an example, as the instructor reads it. With 1, nothing is asked of its
    `phrasings`."""
    text = (_CONTRACTS / f"{kind}.md").read_text(encoding="utf-8").replace("{modules}", ", ".join(MODULES))
    if phrasings < 2:
        text = re.sub(r"^- [^\n]*\{phrasings\}[^\n]*\n(?:  [^\n]*\n)*", "", text, flags=re.MULTILINE)
    text = text.replace("{phrasings}", str(phrasings))
    return text if example else text.partition("\nExample, for")[0]


_TASK = "what the model is asked to do, and in which form it answers"
_REFERENCE = "a right solution and answer; of code the tests, and a solution where there is one"
_MISCONCEPTION = "one to three sentences; where the verdict is not `error`, why, and the fields behind this one stay empty"
_SKILL = "what the model lacks, two to eight words that fit other problems too, e.g. `turning a period into the unit of a rate`"
_TEACH = "what practice problems must vary, and what they must keep, to teach the skill"
Fault = Literal["error", "reference_wrong", "ambiguous"]


class DiagnoseError(dspy.Signature):
    """You teach a smaller language model by studying its errors. Find the first step at which its response departs from a right
    solution, and the misconception behind it: what the model believes or skips, in words that would predict its answer to other
    problems of the kind. Judge the item too: when its reference is wrong or it has more than one fair answer, say so instead of
    inventing an error."""

    task: str = dspy.InputField(desc=_TASK)
    question: str = dspy.InputField(desc="what it was asked")
    reference: str = dspy.InputField(desc=_REFERENCE + "; `(hidden)`: solve the question yourself")
    response: str = dspy.InputField(desc="its answer, judged wrong; `(empty)`: it was not asked, so say what is hard here")

    evidence: str = dspy.OutputField(desc="the words of the response where it first departs, and what should stand there")
    verdict: Fault = dspy.OutputField(desc="the last two are faults of the item: a wrong reference, more than one fair answer")
    misconception: str = dspy.OutputField(desc=_MISCONCEPTION)
    skill: str = dspy.OutputField(desc=_SKILL)
    teach: str = dspy.OutputField(desc=_TEACH)


class DiagnoseContrast(DiagnoseError):
    """You teach a smaller language model by studying its errors beside similar questions that it solved. Find the first step at
    which its response departs from a right solution, and the misconception behind it; then name the boundary: what the solved
    questions have in common that the failed one lacks, or the reverse. Judge the item too: when its reference is wrong or it has
    more than one fair answer, say so instead of inventing an error."""

    solved: str = dspy.InputField(desc="similar questions that it answered right, with its responses; `(none)`: it solved none")
    boundary: str = dspy.OutputField(desc="one sentence: what the model can do and what it cannot, across these questions")


class DiagnoseErrors(dspy.Signature):
    """You teach a smaller language model by studying its errors. Several that look alike stand below. Find the kind that most of them
    are of: one skill that is missing and one misconception behind it, in words that would predict the model's answers to other
    problems of the kind. Name the errors that are of this kind; leave out those that are of another, and those whose reference is
    wrong or whose question has more than one fair answer: each of them is looked at alone."""

    task: str = dspy.InputField(desc=_TASK)
    failures: str = dspy.InputField(desc="numbered errors, each with its id, question, reference (or `(hidden)`) and response")

    evidence: str = dspy.OutputField(desc="the words of the responses where they first depart, and what should stand there")
    members: list[str] = dspy.OutputField(desc="the ids of the errors that are of this kind")
    verdict: Fault = dspy.OutputField(desc="the last two only when no error is left: a wrong reference, more than one fair answer")
    misconception: str = dspy.OutputField(desc=_MISCONCEPTION)
    skill: str = dspy.OutputField(desc=_SKILL)
    teach: str = dspy.OutputField(desc=_TEACH)


class _Write(dspy.Signature):
    """What every writing of a program gives back."""

    refusal: str = dspy.OutputField(desc="empty, or why no honest program can be written, and then the program is empty")
    program: dspy.Code["python"] = dspy.OutputField(desc="the whole module in one ```python block")


# Named before another base, as the fields of the first base are shown last.
class _Repair(dspy.Signature):
    """A program that makes practice problems was refused. Write the whole module again, with the smallest change that removes the
    cause, so that it keeps the contract in all else too."""

    rejected: str = dspy.InputField(desc="the refused program")
    complaint: str = dspy.InputField(desc="the check that refused it, and why")


class WriteProgram(_Write):
    """Write a program which makes practice problems that teach the missing skill, and which can rebuild the error's own problem.
    Keep the contract to the letter: a machine checks it."""

    contract: str = dspy.InputField(desc="what the program must be, with an example")
    task: str = dspy.InputField(desc=_TASK)
    failure_id: str = dspy.InputField(desc="the key of the error in ANCHORS")
    question: str = dspy.InputField(desc="what the model was asked")
    reference: str = dspy.InputField(desc=_REFERENCE)
    response: str = dspy.InputField(desc="its answer; `(empty)`: it was not asked, so write no wrong()")
    skill: str = dspy.InputField(desc="what it lacks")
    misconception: str = dspy.InputField(desc="what it believes instead")
    teach: str = dspy.InputField(desc="what the problems must vary, and what they must keep")
    boundary: str = dspy.InputField(desc="what it can do and what it cannot: levels run from the one to the other")


class RepairProgram(_Repair, WriteProgram):
    __doc__ = _Repair.__doc__


class WriteForContrast(WriteProgram):
    """Write a program which makes practice problems on both sides of a boundary: levels 1 and 2 are problems of the kind that the
    model solved, levels 3 to 5 lie beyond it, where its error lies, 3 as hard as that error; what is crossed on the way is what it
    must learn. The program can rebuild the error's own problem. Keep the contract to the letter: a machine checks it."""

    solved: str = dspy.InputField(desc="similar questions that it answered right, with its responses")


class RepairForContrast(RepairProgram):
    """A program that makes practice problems was refused. Write the whole module again, with the smallest change that removes the
    cause, so that it keeps the contract in all else too; levels 1 and 2 stay on the side that the model solved, 3 to 5 on the side
    of its error."""

    solved: str = dspy.InputField(desc="similar questions that it answered right, with its responses")


class WriteForErrors(_Write):
    """Write one program which makes practice problems that teach the skill that these errors miss, and which can rebuild the problem
    of each error that has an entry in ANCHORS. Leave out of ANCHORS the errors whose problem does not fit with the others: each of
    them gets a program of its own. Keep the contract to the letter: a machine checks it."""

    contract: str = dspy.InputField(desc="what the program must be, with an example")
    task: str = dspy.InputField(desc=_TASK)
    failures: str = dspy.InputField(
        desc="numbered errors, each with its id (its key in ANCHORS), question, reference and response; `(empty)`: it was not asked, so "
        "write no wrong()"
    )
    skill: str = dspy.InputField(desc="what the model lacks")
    misconception: str = dspy.InputField(desc="what it believes instead")
    teach: str = dspy.InputField(desc="what the problems must vary, and what they must keep")


class RepairForErrors(_Repair, WriteForErrors):
    __doc__ = _Repair.__doc__


class RewriteItem(_Write):
    """Write a program which makes new problems like the one below, of the same skill, with other numbers, names and wordings, and
    which can rebuild that very problem. Keep the contract to the letter: a machine checks it."""

    contract: str = dspy.InputField(desc="what the program must be, with an example; its error is the problem below")
    task: str = dspy.InputField(desc="what the problems ask for, and in which form they are answered")
    failure_id: str = dspy.InputField(desc="the key of the problem in ANCHORS")
    question: str = dspy.InputField(desc="the problem")
    reference: str = dspy.InputField(desc=_REFERENCE)
    response: str = dspy.InputField(desc="always `(empty)`: write no wrong()")


class RepairRewrite(_Repair, RewriteItem):
    __doc__ = _Repair.__doc__


class SolveQuestions(dspy.Signature):
    """Answer each question by yourself, one after the other. Where you do not know, or where no answer or more than one is right,
    answer `none` instead of guessing."""

    task: str = dspy.InputField(desc="what is asked. The form that it tells is another's: yours is the list below")
    questions: str = dspy.InputField(desc="numbered questions that have nothing to do with each other")

    reasoning: str = dspy.OutputField(desc="a sentence or two a question")
    answers: list[str] = dspy.OutputField(desc='one a question, in their order: the letter, number, word or JSON alone, e.g. ["C", "none"]')
