"""Programs that speak OpenAI's dialect, with its official package."""
