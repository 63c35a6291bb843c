"""Packages that can be installed without a network."""

from __future__ import annotations

import zipfile
from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(folder: Path, name: str = "greeting", version: str = "1.0", program: str = "") -> Path:
    """A package of one module, whose `word` is hello; with a command that prints it if wanted."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"word = 'hello'\nversion = '{version}'\n\n\ndef main():\n    print(word)\n",
        f"{info}/METADATA": METADATA.format(name=name, version=version),
        f"{info}/WHEEL": WHEEL,
    }
    if program:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{program} = {name}:main\n"
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in files.items():
            archive.writestr(entry, text)
        names = [*files, f"{info}/RECORD"]
        archive.writestr(f"{info}/RECORD", "".join(f"{entry},,\n" for entry in names))
    return path


def only_from(folder: Path) -> dict[str, str]:
    """Settings of installers that know this folder and no index."""
    settings = folder / "uv.toml"
    settings.write_text(f'[pip]\nno-index = true\nfind-links = ["{folder}"]\n')
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "UV_CONFIG_FILE": str(settings),
        "UV_PYTHON_DOWNLOADS": "never",
    }
