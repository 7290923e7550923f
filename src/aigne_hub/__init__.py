"""AIGNE Hub: one exact, fast gateway in front of every AI provider."""

__version__ = "0.1.0"
