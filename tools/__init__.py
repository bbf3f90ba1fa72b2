"""What the Makefile runs: `tools.up` serves, `tools.demo` puts real input through a gateway."""
