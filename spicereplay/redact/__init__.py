"""Captures and bug reports that may be shown to strangers: same messages, sizes and times, without what was in them.

`run.redact` does all of it and checks itself; `what` names what is taken out.
"""
