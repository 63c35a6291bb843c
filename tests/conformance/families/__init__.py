"""One module a case file; each offers `run(case, context) -> Outcome`."""
