"""A local process that speaks OpenAI's wire, for tests that need a real upstream."""
