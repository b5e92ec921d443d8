"""The tools: what the agent can look at and what it can change. `registry` lists them, `types` says what one is."""
