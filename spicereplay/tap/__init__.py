"""Records what passes: as a proxy between any client and its server, or from a network interface.

`proxy` carries the connections, `trust` says whom it believes to be who; `sniffing` has dumpcap or tcpdump record an
interface, and `raw_socket` does it where neither is there.
"""
