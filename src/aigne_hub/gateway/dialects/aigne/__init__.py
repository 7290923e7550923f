"""AIGNE's own formats."""
