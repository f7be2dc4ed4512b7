"""TLS by the secrets that its ends logged: two streams of ciphertext in, two of what it protected out.

`keylog` reads the secrets, `records` cuts a stream into records, `handshake` reads the hellos, `suites` says what a
cipher suite means, `schedule` makes keys of secrets, `protection` opens a record, `opening` does all of it for a
connection. Secrets stay in there: nothing that comes out, no defect and no `repr` shows one.
"""
