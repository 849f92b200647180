"""Kinds of training beside the supervised one (errata.trainers.fit), a file each, named in errata.trainers.sft.STAGES; and what goes on
beside the steps of all kinds (follow).
"""
