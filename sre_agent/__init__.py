"""The agentic SRE executor: from an alert to a proven or recommended remediation. Read `executor.py` first."""

__version__ = "0.1.0"
