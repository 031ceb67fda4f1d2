"""Networks on real bytes: switches and hosts that exchange frames in this process, and tunnels.

Bytes: ``layouts`` of headers, ``packets`` built, ``headers`` taken apart,
``tunnels`` (packets in packets), ``capture`` (what tcpdump saw). Networks: ``topology`` (what is
plugged where) and its ``statements``, ``domains`` of broadcasts, ``devices`` at work,
the ``network`` of them, ``reach`` (who reaches whom) and its ``reasons``. Looks:
``diagram`` and ``picture``. ``live`` brings the same topology up in containers.
"""
