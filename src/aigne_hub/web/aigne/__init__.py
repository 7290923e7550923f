"""What AIGNE's clients ask of a hub before they call a model (wire/aigne.md, section 9)."""
