"""Orders of credit, from the wish to buy to the refund: stores and payment providers at work."""
