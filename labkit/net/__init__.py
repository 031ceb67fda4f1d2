"""Networks on real bytes: a topology, switches and hosts that exchange frames in this process, tunnels.

``headers`` knows the bytes, ``topology`` what is plugged where, ``switching`` what becomes of a frame, ``reach`` who
reaches whom and why not, ``tunnels`` packets in packets, ``capture`` what tcpdump saw, ``picture`` how it looks, and
``live`` brings the same topology up in containers.
"""
