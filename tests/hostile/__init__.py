"""Hostile requests as bytes, since a client library would correct them.

The kinds of broken JSON are those of JSONTestSuite (https://github.com/nst/JSONTestSuite), written anew.
"""
