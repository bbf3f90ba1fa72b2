"""Requests that nobody sends in good faith, as bytes: what a client library would tidy up stays as it is.

The kinds of broken JSON are those of JSONTestSuite (https://github.com/nst/JSONTestSuite), written anew.
"""
