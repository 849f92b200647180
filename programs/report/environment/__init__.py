"""Writes the kept programs of a run as a Python package that needs no Errata (`errata export --environment`).

`build` chooses the programs, writes the package and proves it; `package/` is what is copied into it.
"""
