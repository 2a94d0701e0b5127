"""A hook of MkDocs that writes `llms.txt` beside the site: what each page is about, for programs that read it.

The navigation says which pages there are; the description at the head of each page says what it is about. A page
without a description fails the build.

Source: https://llmstxt.org.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

_FIRST_SECTION = "Start here"  # of the pages that are in no section


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Refuse a page that does not say what it is about."""
    if not page.meta.get("description"):
        raise PluginError(f"{page.file.src_uri} has no description; begin it with one, between two lines of ---")
    return markdown


def on_env(env: Any, *, config: Any, files: Any) -> Any:
    """Write the file, when all pages have been read."""
    site_url = config.site_url or ""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}"]
    section = None
    for title, page in _pages(next(file.page for file in files.documentation_pages()), config):
        if title != section:
            lines += ["", f"## {title}", ""]
            section = title
        lines.append(f"- [{page.title}]({site_url}{page.url or './'}): {page.meta['description']}")
    target = Path(config.site_dir, "llms.txt")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join([*lines, ""]))
    return env


def _pages(page: Any, config: Any) -> Iterator[tuple[str, Any]]:
    """The pages in the order of the navigation, each with the title of its section."""
    while page.previous_page:
        page = page.previous_page
    while page:
        sections = page.ancestors
        yield (sections[-1].title if sections else _FIRST_SECTION), page
        page = page.next_page
