"""The studio and the operations console, in the distribution's Chromium, against the real service."""
