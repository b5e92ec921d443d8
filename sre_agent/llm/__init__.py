"""Asks a language model. `port` is the contract, `client` the one importer of `openai`, `untrusted` what fences texts.

A model is asked for words and for proposals. It executes nothing, it sees no secret, and what it says is untrusted.
"""
