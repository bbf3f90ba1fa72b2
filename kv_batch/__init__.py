"""kv-batch: a batch key-value gateway.

Pure Python without any host import: it runs natively as it runs in a WebAssembly guest. The contract is in
`kv_batch.batch`; the HTTP gateway, its first user, in `kv_batch.gateway`.
"""
