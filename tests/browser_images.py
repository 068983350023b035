#!/usr/bin/env python3
"""Images in the browser: a pull is begun, left, found again under way and given up; another one is brought to its end;
its page, what changed, other registries. In a real headless Chromium.

    tests/browser_images.py URL USER PASSWORD SLOW FAST FOLDER

SLOW names an image at a registry that sends slowly, FAST one that is there at once; screenshots go to FOLDER. Ends
non-zero with a sentence at the first thing that is not as promised."""
import sys, time

from browser import Browser, sign_in

PAGES = ("images", "registries")


def bytes_shown(browser):
    """What the page says of the whole pull: its words, which a script changes as bytes come."""
    return browser.script("return document.querySelector('[data-operation] [data-total] [data-amount]')?.textContent ?? ''")


def pull(browser, url, reference):
    browser.open(f"{url}/images")
    browser.type("#reference", reference)
    browser.click("form.pull button.primary")
    browser.wait(lambda: "/operations/" in browser.address())
    return browser.address()


def left_and_found_again(browser, url, slow, folder):
    place = pull(browser, url, slow)
    browser.says("Under way")
    browser.wait(lambda: browser.script("return document.querySelectorAll('[data-layer]').length") > 0)
    # The page moves by itself: the same document, other figures.
    browser.script("document.body.dataset.same = 'yes'")
    before = bytes_shown(browser)
    browser.wait(lambda: bytes_shown(browser) not in ("", before))
    moved = bytes_shown(browser)
    browser.wait(lambda: bytes_shown(browser) != moved)
    assert browser.script("return document.body.dataset.same") == "yes", "the page was loaded anew"
    browser.picture(f"{folder}/operation.png")
    browser.open(f"{url}/containers")
    browser.says("No container yet")
    time.sleep(0.5)
    browser.open(f"{url}/images")
    browser.says(f"Pull {slow}")
    browser.says("Under way")
    found = bytes_shown(browser)
    assert found, "the list says nothing of its bytes"
    browser.wait(lambda: bytes_shown(browser) != found)
    assert browser.script("return document.querySelectorAll('[data-layer] rect.used').length") > 0
    browser.picture(f"{folder}/images-pulling.png")
    browser.open(place)
    browser.says("Under way")
    browser.click(".page-head .actions button")
    browser.says("Given up")
    browser.open(place)
    browser.wait(lambda: "Given up" in browser.text() and "Under way" not in browser.text())
    browser.open(f"{url}/images")
    listed = browser.script("return document.querySelector('table.list')?.innerText ?? ''")
    assert slow not in listed, "what was given up is an image"


def to_its_end(browser, url, fast, folder):
    pull(browser, url, fast)
    browser.says("Done", 60)
    browser.picture(f"{folder}/operation-done.png")
    browser.click(".page-head .actions a.primary")
    browser.says("removing frees")
    browser.says("linux/")
    browser.picture(f"{folder}/image.png")
    page = browser.address()
    browser.type("input[name=reference]", "other.example/box:2")
    browser.click("input[name=reference] + button")
    browser.says("other.example/box:2")
    return page


def what_changed(browser, page, folder):
    browser.open(page)
    browser.click("form[action='/difference'] button")
    browser.says("What changed")
    browser.wait(lambda: browser.script("return document.querySelectorAll('table.list tbody tr').length") > 0)
    browser.says("127 removed")
    browser.picture(f"{folder}/difference.png")
    return browser.address()


def other_registries(browser, url, folder):
    browser.open(f"{url}/registries")
    browser.type("#credential-host", "registry.example")
    browser.type("#username", "amber")
    browser.type("#secret", "hunter2hunter2")
    browser.click("form[action='/registries/credentials'] button.primary")
    browser.says("amber is used at registry.example now")
    assert "hunter2" not in browser.script("return document.documentElement.outerHTML"), "a password is shown"
    browser.says("What served what")
    browser.says("http://127.0.0.1:")
    browser.picture(f"{folder}/registries.png")


def sideways(browser, url, names, folder, suffix):
    for name in names:
        browser.open(f"{url}/{name}")
        wide = browser.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"/{name} scrolls sideways by {wide} px at 390"
        browser.picture(f"{folder}/390-{suffix}{name.split('?')[0].split('/')[0]}.png")


def main():
    url, user, password, slow, fast, folder = sys.argv[1:7]
    with Browser() as browser:
        sign_in(browser, url, user, password)
        left_and_found_again(browser, url, slow, folder)
        page = to_its_end(browser, url, fast, folder)
        difference = what_changed(browser, page, folder)
        other_registries(browser, url, folder)
        browser.open(f"{url}/images")
        browser.picture(f"{folder}/images.png")
        complaints = [text for text in browser.complaints() if "404" not in text]
        assert not complaints, f"the browser complains: {complaints}"
    narrow = [*PAGES, page[len(url) + 1:], difference[len(url) + 1:]]
    with Browser(390, 844) as browser:
        sign_in(browser, url, user, password)
        sideways(browser, url, narrow, folder, "")
        operation = pull(browser, url, slow)
        browser.wait(lambda: bytes_shown(browser) != "")
        sideways(browser, url, [operation[len(url) + 1:], "images"], folder, "pulling-")
        browser.open(operation)
        browser.click(".page-head .actions button")
        browser.says("Given up")
    with Browser(dark=True) as browser:
        sign_in(browser, url, user, password)
        for name in narrow:
            browser.open(f"{url}/{name}")
            browser.picture(f"{folder}/dark-{name.split('?')[0].split('/')[0]}.png")
    print("pulls and images do what they say")


if __name__ == "__main__":
    main()
