"""The programs that the Makefile runs: `tools.up` serves, `tools.demo` sends real data through a gateway,
`tools.mend` and `tools.immortal` change a compiled component (`tools.compiled`, `tools.wasm`).
"""
