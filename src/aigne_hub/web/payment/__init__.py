"""Pages on which credit is bought, receipts, and what payment providers report."""
