"""Pictures of the demo's mails, taken with Chromium if it is installed."""

import os
import re
import shutil

from servers import DemoError, write

PAGE_WIDTH = 680


def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def run_chromium(demo, *options):
    # Chromium's sandbox needs rights that a container often lacks. Chromium shows only the demo's
    # own mails.
    return demo.run(chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                    "--no-first-run", f"--user-data-dir={demo.scratch}/chromium", *options)


def page_heights(demo, paths):
    """The height of each mail at PAGE_WIDTH. Chromium measures it on a page that contains all mails."""
    page = os.path.join(demo.scratch, "pages", "heights.html")
    frames = "".join(f'<iframe src="{os.path.basename(path)}.html" style="width:{PAGE_WIDTH}px;height:10px"></iframe>'
                     for path in paths)
    script = ("onload = () => document.body.textContent = 'heights:' + [...document.querySelectorAll('iframe')]"
              ".map(frame => frame.contentDocument.documentElement.scrollHeight).join(',')")
    write(page, f"<body>{frames}<script>{script}</script>")
    shown = run_chromium(demo, "--allow-file-access-from-files", "--dump-dom", f"file://{page}")
    found = re.search(r"heights:([\d,]+)", shown)
    if not found:
        raise DemoError(f"Chromium does not show the mails:\n{shown}")
    return [int(height) for height in found.group(1).split(",")]


def take_pictures(demo, paths):
    """Write a picture of each mail to the mail's directory."""
    pages = os.path.join(demo.scratch, "pages")
    for path in paths:
        shutil.copy(path + ".html", pages)
    demo.hand_over(pages)
    for path, height in zip(paths, page_heights(demo, paths)):
        name = os.path.join(pages, os.path.basename(path))
        run_chromium(demo, f"--window-size={PAGE_WIDTH},{height}", f"--screenshot={name}.png", f"file://{name}.html")
        shutil.copyfile(name + ".png", path + ".png")
