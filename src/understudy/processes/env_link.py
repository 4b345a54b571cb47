"""One environment file under two names: the home's, and the one that people edit by habit (``.env.local``).

The home's becomes a symbolic link, so the guard's durable switch and a person's edit are the same line.
"""

from __future__ import annotations

import os
from pathlib import Path

from understudy.envfile import read_env_file, set_in_env_file
from understudy.errors import ConfigurationError
from understudy.processes.home import Home

#: What the home's own file is called after it gave way to a link.
KEPT_NAME = "understudy.env.before-link"


def link_env_file(home: Home, file: Path) -> None:
    """Make ``file`` the environment file of ``home``.

    What only the home's file said is added to ``file``, where both say something ``file`` counts, and the old
    file is kept beside. A new file is 0600, and one that others may read is made so: it will hold secrets.

    Raises
    ------
    ConfigurationError
        The folder is missing, a file cannot be read or written, or the home is linked to another file.
    """
    file = file.expanduser().absolute()
    if not file.parent.is_dir():
        raise ConfigurationError(f"{file.parent}: there is no such folder. Create it, or give another file.")
    link = home.env_file
    try:
        if link.is_symlink():
            if link.resolve() != file.resolve():
                raise ConfigurationError(
                    f"{link} already stands for {link.resolve()}. Remove that link, or give --env-file "
                    f"{link.resolve()}."
                )
            set_in_env_file(file, {})
            return
        known = read_env_file(link) if link.exists() else {}
        present = read_env_file(file) if file.exists() else {}
        set_in_env_file(file, {name: value for name, value in known.items() if name not in present})
        file.chmod(0o600)
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = link.with_name(f".{link.name}.link")
        scratch.unlink(missing_ok=True)
        scratch.symlink_to(os.path.relpath(file.resolve(), home.root.resolve()))
        if link.exists():
            link.rename(link.with_name(KEPT_NAME))
        scratch.replace(link)
    except OSError as error:
        raise ConfigurationError(f"{link} cannot stand for {file}: {error.strerror}.") from error
