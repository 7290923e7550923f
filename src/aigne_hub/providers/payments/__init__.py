"""Ways to be paid: the built-in ones and Stripe."""
