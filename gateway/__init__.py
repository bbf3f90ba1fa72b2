"""The gateway: HTTP over the contract of `kv_batch`. It knows no host and no WIT."""
