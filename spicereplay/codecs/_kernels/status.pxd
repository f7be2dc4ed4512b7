# How a kernel ended; the meaning of each stands in spicereplay/codecs/base.py, class Status.
cdef enum Status:
    OK = 0
    SHORT = 1
    OVERRUN = 2
    BAD_REFERENCE = 3
    MISSING = 4
