"""Who proposes the tool call of a step. `port` is the contract.

`scripted` proposes the bound call itself, `guided` asks a model for it.
"""
