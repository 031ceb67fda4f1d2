"""Networks on real bytes: switches and hosts that exchange frames in this process.

Bytes: ``packets`` built and captured, ``headers`` and frames taken apart. Networks: ``topology``
(what is plugged where) and its ``statements``, the ``network`` at work, ``reach`` (who reaches
whom, and why not). Looks: ``diagram`` and ``picture``. ``live`` brings the same topology up in
containers.
"""
