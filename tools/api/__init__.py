"""Writes what `GET /openapi.json` and `GET /docs` answer, `gateway/api/`: `make api`."""
