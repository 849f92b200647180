"""Harnesses that several tests hand to the sandbox."""

CALL = "def main(program, payload): yield program.f()"
REPEAT = "def main(program, payload):\n    for n in range(payload): yield program.f()"
