"""OpenAI's operations, and rerank beside them."""
