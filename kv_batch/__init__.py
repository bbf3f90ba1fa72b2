"""kv-batch: one contract for batches of pairs on every key-value store of a WASI host.

Pure Python that imports no host: it runs in a WebAssembly guest, and natively over fakes. The contract is in
`kv_batch.batch`, the adapter over the WIT interfaces in `kv_batch.wit`. The package `gateway` serves it over
HTTP, and is not needed for it.
"""
