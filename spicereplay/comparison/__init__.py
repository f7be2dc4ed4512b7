"""Two or more sessions side by side: what differs, how sure that is, and whether it matters.

`run.compare` takes `material.Subject`s and gives a `result.Comparison`. What is compared is declared in
`quantities`; how an observation of each kind is held against another is in `effect`, and the resampling behind it in
`resampling`.
"""
