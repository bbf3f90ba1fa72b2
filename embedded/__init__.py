"""The host for machines without `spin`: it runs the same core under wasmtime, over Spin's own SQLite file."""
