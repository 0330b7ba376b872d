"""Acts on the site as a person with a browser would: reads the form, fills it in, posts it back."""

import html
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx

from demo.shell import DemoError


class _Forms(HTMLParser):
    """Collects the forms of a page: action, fields and their values."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._choice = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((values.get("action", ""), {}))
        elif tag in {"input", "textarea", "select", "button"} and self.forms and values.get("name"):
            self._field(values)
            self._choice = values["name"] if tag == "select" else ""
        elif (
            tag == "option"
            and self._choice
            and not (self.forms[-1][1][self._choice] and "selected" not in values)
        ):
            self.forms[-1][1][self._choice] = values.get("value", "")

    def _field(self, values: dict[str, str]) -> None:
        if values.get("type") not in {"checkbox", "radio"} or "checked" in values:
            self.forms[-1][1][values["name"]] = values.get("value", "")


@dataclass
class Visitor:
    """A person with a browser.

    Attributes:
        base: address of the site, without a slash at the end.
    """

    base: str
    browser: httpx.Client = field(default_factory=lambda: httpx.Client(follow_redirects=True, timeout=30))

    def read(self, path: str) -> str:
        """Return the page at ``path``."""
        answer = self.browser.get(self.base + path)
        if answer.status_code != httpx.codes.OK:
            raise DemoError(f"{self.base}{path} answered {answer.status_code}")
        return answer.text

    def submit(self, path: str, **filled: str) -> str:
        """Fill in the form of a page that has all of the named fields, post it, and return the next page."""
        forms = _Forms()
        forms.feed(self.read(path))
        for action, fields in forms.forms:
            if set(filled) <= set(fields):
                target = self.base + (html.unescape(action) or path)
                headers = {"Origin": self.base, "Referer": self.base + path}
                answer = self.browser.post(target, data=fields | filled, headers=headers)
                if not answer.is_success:
                    raise DemoError(f"{target} answered {answer.status_code}: {_text(answer.text)}")
                return answer.text
        raise DemoError(f"{path} has no form with the fields {sorted(filled)}")

    def new_token(self, label: str) -> str:
        """Make an API token for the account's publisher and return it: the page shows it once."""
        found = re.search(r'<code id="token">([^<]+)</code>', self.submit("/account/tokens", label=label))
        if found is None:
            raise DemoError("the site showed no token")
        return html.unescape(found.group(1))


def _text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).strip()[:500]
