"""Charts as vectors: marks that say their values, and the form in which they stand in a page.

In the page text stays text, black and white follow its theme, and what has the colour of an
implementation has its class, so that it can be switched off. No attribute is a style: the page's
policy allows none.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
THEME = {  # of charts -> of the page
    "#000000": "currentColor",
    "black": "currentColor",
    "#ffffff": "var(--back)",
    "white": "var(--back)",
    "#dddddd": "var(--line)",
    "#666666": "var(--dim)",
    "#777777": "var(--dim)",
}
LONG_NUMBER = re.compile(r"(-?\d+\.\d\d)\d+")
REFERENCE = re.compile(r"(?:href=|[\w-]+=(?=url))(url\()?#(.+?)(\))?")
FONT = re.compile(r"(?:(?P<style>italic|oblique) )?(?:(?P<weight>bold|\d{3}) )?(?P<size>[\d.]+)px")
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)


def with_titles(svg: str, titles: Mapping[str, Sequence[str]]) -> str:
    """A file in which each mark says what it is when it is pointed at.

    Args:
        titles: id of a group -> a text for each of its marks.
    """
    root = ElementTree.fromstring(svg)
    for group in root.iter(f"{{{SVG}}}g"):
        texts = titles.get(group.get("id", ""), ())
        marks = list(group.iter(f"{{{SVG}}}use")) or group.findall(f"{{{SVG}}}path")
        if len(marks) == len(texts):  # one that lies outside is not drawn
            for mark, text in zip(marks, texts, strict=True):
                ElementTree.SubElement(mark, f"{{{SVG}}}title").text = text
    return f"<?xml version='1.0' encoding='utf-8'?>\n{_text(root)}\n"


def _text(root: ElementTree.Element) -> str:
    return ElementTree.tostring(root, encoding="unicode")


def inline(svg: str, name: str, classes: Mapping[str, str], label: str, scale: float) -> str:
    """The same drawing as an element of the page.

    Args:
        name: begins all of its ids.
        classes: colour of an implementation -> its class.
        label: what it shows.
        scale: of the page's pixels to its units.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    ids = {one.get("id"): number for number, one in enumerate(root.iter()) if one.get("id")}
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', _text(root)))
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
        _dress(one, classes)
        identity = one.attrib.pop("id", "")
        if identity in used:
            one.set("id", f"{name}-{ids[identity]}")
        for key, value in list(one.attrib.items()):
            short = key.rpartition("}")[2]
            del one.attrib[key]
            if match := REFERENCE.fullmatch(f"{short}={value}"):
                value = f"{match[1] or ''}#{name}-{ids.get(match[2], 0)}{match[3] or ''}"
            one.set(short, LONG_NUMBER.sub(r"\1", value) if short != "id" else value)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    if box := root.get("viewBox"):
        root.set("width", str(round(scale * float(box.split()[2]))))
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("stroke-linejoin", "round")
    return _text(root).replace("'", "&#39;")  # as all texts of the page


def _dress(one: ElementTree.Element, classes: Mapping[str, str]) -> None:
    """Attributes in place of styles, the theme's colours, and the class of an implementation."""
    for part in one.attrib.pop("style", "").split(";"):
        key, _, value = part.strip().partition(": ")
        if key == "font" and (font := FONT.match(value)):
            one.set("font-size", font["size"])
            for what in ("style", "weight"):
                if font[what]:
                    one.set(f"font-{what}", font[what])
        elif key and value:
            one.set(key, value)
    if one.tag == "text" and one.get("fill") is None:
        one.set("fill", "currentColor")
    for key in ("fill", "stroke"):
        colour = one.get(key, "").lower()
        if colour in classes:
            one.set("class", classes[colour])
            if one.tag == "text":  # which is told from its back by more than a mark is
                one.set(key, "currentColor")
        elif colour in THEME:
            one.set(key, THEME[colour])
