"""Write rootfs.tar: Debian 12 as mmdebstrap(1) makes it, the same bytes for the same packages.

Only the suite itself, not its security updates: it changes at point releases, so image ids stay the
same for months.
"""

from __future__ import annotations

import subprocess

# What the hub's slim images leave out; copyright notices stay. mmdebstrap writes these to
# dpkg.cfg.d of the new system, so packages installed later (httpd) are slim too.
EXCLUDE = ["doc/*", "groff/*", "info/*", "lintian/*", "linda/*", "locale/*", "man/*"]
INCLUDE = ["doc/*/copyright", "locale/locale.alias"]


def mirror() -> str:
    """Debian's mirror as this machine's apt knows it: the one near it, or its network's own."""
    argv = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Origin: Debian",
        "Created-By: Packages",
    ]
    found = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    return next(uri.rstrip("/") for uri in sorted(found) if "security" not in uri)


if __name__ == "__main__":
    subprocess.run(
        [
            # It mounts the machine's own folders inside; in namespaces that end with us these
            # mounts end too.
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            "mmdebstrap",
            "--variant=minbase",
            "--quiet",
            *(f"--dpkgopt=path-exclude=/usr/share/{path}" for path in EXCLUDE),
            *(f"--dpkgopt=path-include=/usr/share/{path}" for path in INCLUDE),
            "--aptopt=Acquire::Languages none",
            # Merge /bin, /sbin and /lib into /usr at once; else a package comes to do it, with 46
            # MB of Perl.
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            "--include=usr-is-merged",
            # mmdebstrap copies these two from the machine it runs on; Docker gives each container
            # its own.
            '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"',
            "bookworm",
            "rootfs.tar",
            f"deb {mirror()} bookworm main",
        ],
        check=True,
    )
