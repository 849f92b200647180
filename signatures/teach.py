"""The DSPy signatures of the instructor: diagnose an error, write a sample-generation program, repair it.

A signature's docstring is the instruction that the instructor reads, and what prompt optimizers rewrite; extend one by subclassing it. The
contract of a program stands in a file of contracts/, one for each kind of task, and is kept by `errata.programs.samples`.
Does NOT cover: calling (errata.programs.strategies) and checking what comes back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import dspy

_CONTRACTS = Path(__file__).with_name("contracts")


def contract(kind: str, modules: Sequence[str]) -> str:
    """What a sample program of this kind must be, with an example, as the instructor reads it; `modules` are those that it may import."""
    return (_CONTRACTS / f"{kind}.md").read_text(encoding="utf-8").replace("{modules}", ", ".join(modules))


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


class _Write(dspy.Signature):
    """What every writing of a program gives back."""

    refusal: str = dspy.OutputField(desc="empty, or the reason why no honest program can be written")
    program: dspy.Code["python"] = dspy.OutputField(desc="the whole module in one fenced block")


# Named before another base, as the fields of the first base are shown last.
class _Repair(dspy.Signature):
    """A sample-generation program was refused by a check. Write the whole module again so that it passes, with the smallest
    change that removes the cause. Follow the contract exactly."""

    rejected: str = dspy.InputField(desc="the refused program")
    complaint: str = dspy.InputField(desc="the check that refused it, and why")


class WriteProgram(_Write):
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


class RepairProgram(_Repair, WriteProgram):
    __doc__ = _Repair.__doc__


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


class WriteForErrors(_Write):
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


class RepairForErrors(_Repair, WriteForErrors):
    __doc__ = _Repair.__doc__


class RewriteItem(_Write):
    """Write a sample-generation program which makes new problems like the one below: the same skill, with other numbers, names and
    wordings. The program proves itself: it must rebuild the very problem and its gold answer from parameters. Follow the contract
    exactly."""

    contract: str = dspy.InputField(desc="what the program must be, with an example; where it speaks of an error, the problem is meant")
    task: str = dspy.InputField(desc="what the problems ask for, and the form of answers")
    failure_id: str = dspy.InputField(desc="the key of the problem in ANCHORS")
    question: str = dspy.InputField(desc="the problem")
    reference: str = dspy.InputField(desc="its reference solution and answer")
    response: str = dspy.InputField(desc="always `(empty)`: write no wrong()")


class RepairRewrite(_Repair, RewriteItem):
    __doc__ = _Repair.__doc__


class SolveQuestions(dspy.Signature):
    """Answer each question by yourself, one after the other. Where you do not know, or where no answer or more than one is right,
    answer `none` instead of guessing."""

    task: str = dspy.InputField(desc="what is asked, and the form of answers")
    questions: str = dspy.InputField(desc="numbered questions that have nothing to do with each other")

    reasoning: str = dspy.OutputField(desc="a sentence or two a question")
    answers: list[str] = dspy.OutputField(desc="one a question, in their order: the letter, number or word alone")
