"""`sre-agent tui`: the incidents in a terminal, for whoever is on call.

Opened by the command line. Protects two rules: a screen knows nothing but JSON documents, the ones that the API gives,
whether they come from the database or from a server; and workers fetch and post messages, so that widgets alone touch
widgets.
"""
