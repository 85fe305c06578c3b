"""Makes matplotlib's SVG fit for a page: no styles, no names of its own, colours by class."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping

_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#(.+)\)")
_FONT_SIZE = re.compile(r"([\d.]+)px")


def inline(source: bytes, classes: Mapping[str, str], *, prefix: str, text: str) -> str:
    """Return a picture of matplotlib as an element of a page.

    A strict Content-Security-Policy forbids styles within elements, and a page may be light or
    dark: styles become attributes, and some colours become classes that the page defines.

    Parameters
    ----------
    source
        The file that matplotlib wrote, with its texts as texts.
    classes
        Name by colour as ``#rrggbb``; what is filled with it gets the class ``fill-NAME``, what is
        drawn with it ``stroke-NAME``.
    prefix
        Begins the identifiers within the picture, which have to be unique on a page.
    text
        What stands for the picture where it is not seen.
    """
    root = ET.fromstring(source)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}:
                parent.remove(child)
    names = _names(root, prefix)
    for element in root.iter():
        _dress(element, classes)
        _rename(element, names)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {
        "role": "img",
        "aria-label": text,
        "class": "chart",
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return re.sub(r">\s+<", ">\n<", ET.tostring(root, encoding="unicode"))


def _names(root: ET.Element, prefix: str) -> dict[str, str]:
    """Return a new name for every identifier that something refers to."""
    used: dict[str, str] = {}
    for element in root.iter():
        for value in element.attrib.values():
            match = _REFERENCE.fullmatch(value)
            if match:
                used.setdefault(match[1], f"{prefix}-{len(used)}")
        link = element.get(_LINK, "")
        if link.startswith("#"):
            used.setdefault(link[1:], f"{prefix}-{len(used)}")
    return used


def _rename(element: ET.Element, names: Mapping[str, str]) -> None:
    for key, value in list(element.attrib.items()):
        match = _REFERENCE.fullmatch(value)
        if key == "id":
            del element.attrib["id"]
            if value in names:
                element.set("id", names[value])
        elif match:
            element.set(key, f"url(#{names[match[1]]})")
        elif key == _LINK and value.startswith("#"):
            element.set(key, f"#{names[value[1:]]}")


def _dress(element: ET.Element, classes: Mapping[str, str]) -> None:
    """Turn the style of an element into attributes and classes."""
    found: list[str] = []
    for part in element.attrib.pop("style", "").split(";"):
        name, _, value = (piece.strip() for piece in part.partition(":"))
        if name in {"fill", "stroke"} and value in classes:
            found.append(f"{name}-{classes[value]}")
        elif name == "font":
            size = _FONT_SIZE.search(value)
            element.set("font-size", size[1] if size else "10")
        elif name:
            element.set(name, value)
    if element.tag == f"{{{_SVG}}}text" and not any(name.startswith("fill") for name in found):
        found.append("fill-ink")
    if found:
        element.set("class", " ".join(found))
