"""Where profiles come from: the ones that travel with rmqctl, or a file given by its path."""

import difflib
from pathlib import Path
from typing import NamedTuple

from rmqctl.profile.schema import Profile, ProfileError, parse_profile

DEFAULT_PROFILE = "single"
"""What `rmqctl up` means in a home that has no cluster yet."""


class NamedProfile(NamedTuple):
    """A profile and how the user called it."""

    source: str
    profile: Profile


def load_profile(name_or_path: str) -> NamedProfile:
    """Load a profile by name, or by path when the text has a `/` or ends in `.toml`.

    Raises:
        ProfileError: No such profile, an unreadable file, or a wrong profile.
    """
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        path = Path(name_or_path).expanduser().absolute()
        return NamedProfile(str(path), parse_profile(_read(path), name_or_path))
    path = profiles_folder() / f"{name_or_path}.toml"
    if not path.is_file():
        names = profile_names()
        near = difflib.get_close_matches(name_or_path, names, 1, 0.5)
        raise ProfileError(
            f"there is no profile {name_or_path!r}",
            f"profiles: {', '.join(names)}",
            f"--profile {near[0]}" if near else "give one of them, or the path of a TOML file",
        )
    return NamedProfile(name_or_path, parse_profile(_read(path), path.name))


def profile_names() -> list[str]:
    """Names of the profiles that come with rmqctl, sorted."""
    return sorted(path.stem for path in profiles_folder().glob("*.toml"))


def profiles_folder() -> Path:
    """The folder of the profiles: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "profiles"
    return installed if installed.is_dir() else package.parent / "profiles"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProfileError(f"cannot read profile {path}", error.strerror, "check the path") from None
