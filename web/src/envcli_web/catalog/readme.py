"""Turning a plugin's long description, which anybody may have written, into harmless HTML.

Markdown is parsed with raw HTML switched off and the result is cleaned again by an allowlist. Images become links:
the site loads nothing from elsewhere, so that reading a page tells nobody about it.
"""

from collections.abc import Sequence
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

MAX_LENGTH = 200_000
SHIFT = 2  # the page's own headings are h1 and h2
TAGS = {
    "a", "blockquote", "br", "code", "dd", "del", "dl", "dt", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p",
    "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}


def _image_as_link(
    _renderer: RendererHTML, tokens: Sequence[Token], at: int, _options: OptionsDict, _env: EnvType
) -> str:
    token = tokens[at]
    return f'<a href="{escape(str(token.attrs.get("src", "")))}">{escape(token.content or "image")}</a>'


def _lower_headings(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + SHIFT)}"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _image_as_link)
    return parser


@lru_cache(maxsize=256)
def render_readme(text: str, content_type: str | None) -> Markup:
    """Return ``text`` as HTML that can stand in a page.

    Args:
        text: the description; what exceeds ``MAX_LENGTH`` characters is cut off.
        content_type: its media type. Markdown is rendered, everything else shown as it is.
    """
    text = text[:MAX_LENGTH]
    if (content_type or "text/markdown").split(";")[0].strip().lower() != "text/markdown":
        return Markup("<pre>{}</pre>").format(text)
    parser = _parser()
    tokens = parser.parse(text)
    _lower_headings(tokens)
    html = parser.renderer.render(tokens, parser.options, {})
    clean = nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer ugc",
    )
    return Markup(clean)  # noqa: S704 - cleaned by the allowlist above
