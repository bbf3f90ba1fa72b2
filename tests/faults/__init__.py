"""Fault injection, and a model of the results that the contract allows.

    Schedule ──► FaultyStore ◄── the contract, or the whole component ──► Outcome
                      │                                                      │
                      └── its calls and its contents ──────────► Model ◄─────┘

- `schedule`: plain data: a backend, operations, and the faults that they meet. A schedule prints as Python,
  and has the same effect every time it is played.
- `store`: the host side of the raw interface (an `embedded.store.BlockingBucket`), and the same store as a
  `kv_batch.bucket.Bucket`.
- `seen`: one operation with everything that is known about it: what was reported, the calls, the contents.
- `call_checks`, `outcome_checks`: the rules for the calls and for the report of one operation.
- `model`: the rules over several operations. It does not know how the contract works: it compares the reports
  (the possible values of each key) with the calls and the contents of the store.
"""
