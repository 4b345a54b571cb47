"""Pictures for the documentation, made by the tests that look at the pages.

Every run makes every picture anew and holds it against the one in ``docs/pictures``: numbers and times in it
differ from run to run, what the page looks like does not. ``make pictures`` puts the new ones there.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image, ImageChops, ImageStat
from playwright.async_api import Page

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
#: Mean difference of two pictures of one page, of 255, once each is so small: another time in it is below 4,
#: a card more or less above 12.
_SMALL = (64, 64)
STALE_ABOVE = 11.0
_QUALITY = 82


class StalePictureError(AssertionError):
    """A picture in the documentation no longer shows what the page looks like: run `make pictures`."""


async def picture(page: Page, name: str, *, full: bool = False, compare: bool = True) -> Path:
    """Take a picture of the page; keep it when pictures are being made, else hold it against the kept one.

    Parameters
    ----------
    name
        File name without its ending.
    full
        The page down to its end, not only the window.
    compare
        False for what has no fixed look, such as the moment of an incident.

    Raises
    ------
    StalePictureError
        The kept one is missing or shows something else.
    """
    data = await page.screenshot(full_page=full, animations="disabled", caret="hide")
    new = Image.open(io.BytesIO(data)).convert("RGB")
    kept = FOLDER / f"{name}.webp"
    if os.environ.get("MAKE_PICTURES"):
        kept.parent.mkdir(parents=True, exist_ok=True)
        new.save(kept, "WEBP", quality=_QUALITY, method=6)
        return kept
    if not kept.is_file():
        raise StalePictureError(f"docs/pictures/{name}.webp is missing: run `make pictures`")
    if compare:
        with Image.open(kept) as before:
            apart = difference(new, before.convert("RGB"))
        if apart > STALE_ABOVE:
            raise StalePictureError(
                f"docs/pictures/{name}.webp differs by {apart:.1f} (at most {STALE_ABOVE:g}): look at it, "
                "and if it is as it should be, run `make pictures`"
            )
    return kept


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of brightness, of 255, of two pictures brought to one small size."""
    small = [image.convert("L").resize(_SMALL, Image.Resampling.BOX) for image in (one, other)]
    return float(ImageStat.Stat(ImageChops.difference(*small)).mean[0])
