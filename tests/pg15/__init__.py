"""Postgres 15, the oldest that is supported: run by ``make test-pg15`` where its programs are installed."""
