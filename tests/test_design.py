"""The design system keeps its promises: contrast, one set of light colours, nothing inline, no dead files."""

import re
from itertools import product

import pytest

from trading import environment
from trading.pages import shell

STATIC = environment.PROJECT_ROOT / "trading" / "static" / "trading"
TEMPLATES = environment.PROJECT_ROOT / "templates"

AA = 4.5
TEXT = ("text", "muted", "buy", "sell", "accent", "warn")
BACKGROUNDS = ("bg", "panel", "raised")
FILLED = ("buy", "sell", "accent")
"""Buttons have one of these behind --on-colour."""

DARK = ":root"
LIGHT = ':root[data-theme="light"]'
SYSTEM_LIGHT = ":root:not([data-theme])"
THEMES = {
    "dark": (DARK,),
    "dark, colour-blind": (DARK, ':root[data-palette="colour-blind"]'),
    "light": (DARK, LIGHT),
    "light, colour-blind": (DARK, LIGHT, ':root[data-theme="light"][data-palette="colour-blind"]'),
    "system light": (DARK, SYSTEM_LIGHT),
    "system light, colour-blind": (DARK, SYSTEM_LIGHT, ':root:not([data-theme])[data-palette="colour-blind"]'),
}


def tokens() -> dict[str, dict[str, str]]:
    """The custom properties of each selector in tokens.css."""
    text = re.sub(r"/\*.*?\*/", "", (STATIC / "tokens.css").read_text(), flags=re.DOTALL)
    blocks = re.findall(r"(:root[^{\s]*)\s*\{([^}]*)\}", text)
    return {selector: dict(re.findall(r"--([\w-]+):\s*([^;]+);", body)) for selector, body in blocks}


def colours(theme: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for selector in THEMES[theme]:
        found |= tokens()[selector]
    return found


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance of #rrggbb."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def mixed(colour: str, share: float, behind: str) -> str:
    """The colour at that opacity over another."""
    channels = [(int(colour[at : at + 2], 16), int(behind[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(above * share + below * (1 - share)):02x}" for above, below in channels)


def test_contrast_is_computed_as_wcag_says():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_passes_aa_on_every_background(theme: str):
    found = colours(theme)
    pairs = {(text, behind): contrast(found[text], found[behind]) for text, behind in product(TEXT, BACKGROUNDS)}
    pairs |= {("on-colour", filled): contrast(found["on-colour"], found[filled]) for filled in FILLED}
    assert {pair: ratio for pair, ratio in pairs.items() if ratio < AA} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_badges_and_the_demo_line_pass_aa(theme: str):
    found = colours(theme)
    share = float(re.search(r"(\d+)%", found["warn-soft"])[1]) / 100  # type: ignore[index]
    for name, behind in product(("buy", "sell", "accent", "warn"), ("bg", "panel")):
        soft = mixed(found[name], share, found[behind])
        assert contrast(found[name], soft) >= AA, (name, behind)


def test_light_by_choice_and_light_by_system_are_the_same():
    found = tokens()
    assert found[LIGHT] == found[SYSTEM_LIGHT]
    blind = '[data-palette="colour-blind"]'
    assert found[LIGHT + blind] == found[SYSTEM_LIGHT + blind]


def test_a_theme_changes_every_colour():
    plain = {name for name, value in tokens()[DARK].items() if value.startswith(("#", "0 8px"))}
    assert tokens()[LIGHT].keys() == plain


def test_styles_use_no_token_that_does_not_exist():
    known = set(tokens()[DARK])
    for style in STATIC.glob("*.css"):
        used = set(re.findall(r"var\(--([\w-]+)", style.read_text()))
        assert used <= known, style.name


def test_templates_have_nothing_that_the_content_security_policy_refuses():
    for template in set(TEMPLATES.rglob("*.html")) - set(TEMPLATES.glob("email/*.html")):  # e-mails are no pages
        text = template.read_text()
        assert not re.search(r"\sstyle\s*=|\son\w+\s*=\s*[\"']|<style\b|javascript:", text), template
        for script in re.findall(r"<script\b[^>]*>", text):
            assert "src=" in script or "application/json" in script or "application/ld+json" in script, template
        assert not re.search(r"(src|href)=\"(https?:)?//", text), template


def test_the_shell_that_is_kept_offline_is_what_the_page_needs():
    links = re.findall(r'static "trading/(\w+)\.css"', (TEMPLATES / "base.html").read_text())
    modules = re.findall(r'static "trading/(\w+)\.js"', (TEMPLATES / "base.html").read_text())
    assert tuple(links) == shell.STYLES
    assert tuple(modules) == shell.MODULES
