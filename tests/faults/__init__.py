"""Fault injection, and the model that says what the contract may answer to it.

    Schedule ──► FaultyStore ◄── the contract, or the whole component ──► Outcome
                      │                                                      │
                      └── its calls and what it really holds ──► Model ◄─────┘

A `Schedule` is plain data: a backend, operations, and the faults that they meet. It prints as Python, and
played again it does the same. `FaultyStore` is the host side of the raw interface, an
`embedded.store.Bucket`; `FaultyBucket` makes it a `kv_batch.bucket.Bucket`. `Model` knows nothing of how the
contract works: it holds what was said (each key's possible values) against what the store was asked and
what it holds.
"""
