"""Colours: by the sixteen names that every theme of a terminal defines, so that they are readable on all of them."""

from __future__ import annotations

from prompt_toolkit.styles import Style

STYLE = Style.from_dict(
    {
        "store": "ansicyan",
        "bucket": "bold",
        "badge": "ansiyellow",
        "command": "ansigreen",
        "option": "ansicyan",
        "string": "ansiyellow",
        "number": "ansiblue",
        "name": "ansicyan",
        "word": "ansimagenta",
        "shell": "ansimagenta",
        "wrong": "ansired",
        "error": "ansired",
        "note": "ansibrightblack",
        "hint": "ansibrightblack",
        "bottom-toolbar": "noreverse",
        "bottom-toolbar.missing": "ansired",
        "bottom-toolbar.usage": "bold",
        "bottom-toolbar.about": "ansibrightblack",
    }
)
