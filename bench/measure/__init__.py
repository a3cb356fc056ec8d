"""Measures corelane beside its peers. `scripts/bench --help` says how to run it.

Read in this order: `scenario` (what is asked), `work` (what is served), `server` (who serves it),
`load` (who asks), `answer` (was it right), `turns` (A B A B), `report` and `pictures` (what was seen).
"""
