"""Who may look into a cluster's home: its owner, and a group if the profile says so. Nobody else: messages are there.

New files are closed by the umask of whoever makes them (`ClusterModel.umask`): commands, supervisor, nodes of either
engine. What an older version left open is closed here.
"""

import os
import stat
from pathlib import Path

from rmqctl.home import ClusterHome
from rmqctl.profile.model import ClusterModel

_BITS = 0o777


def use_home_mode(home: ClusterHome, model: ClusterModel) -> str | None:
    """Let this process make files of the home's mode, and close what is open; returns what to tell a person."""
    os.umask(model.umask)
    return secure_home(home, model.folder_mode)


def secure_home(home: ClusterHome, folder_mode: int) -> str | None:
    """Give a home and all that is in it their modes, if the home itself has another; return what to tell a person.

    The home's folder is closed first: whatever is open below it can't be reached from then on. A home that belongs to
    another account stays as it is.

    Args:
        home: That exists.
        folder_mode: 0o700, or 0o750 to let the group read.
    """
    before = stat.S_IMODE(home.folder.stat().st_mode) & _BITS
    if before == folder_mode or home.folder.stat().st_uid != os.geteuid():
        return None
    os.chmod(home.folder, folder_mode)
    for folder, folders, files in os.walk(home.folder):
        for name in folders:
            _set_mode(Path(folder, name), folder_mode)
        for name in files:
            _set_mode(Path(folder, name), folder_mode & 0o666)
    if not before & ~folder_mode:
        return None
    return f"{home.folder} was open to others ({before:04o}): it is {folder_mode:04o} now, with all that is in it"


def _set_mode(path: Path, mode: int) -> None:
    """Of a file or folder; of a link not: what it leads to is somewhere else."""
    try:
        found = path.lstat().st_mode
        if (stat.S_ISREG(found) or stat.S_ISDIR(found)) and stat.S_IMODE(found) & _BITS != mode:
            os.chmod(path, mode)
    except OSError:
        # Gone meanwhile, or somebody else's; the home is closed in any case.
        return
