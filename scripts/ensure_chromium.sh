#!/bin/sh
# The browser tests drive Chromium: find one, or install one where that needs no question.
for name in "$SAMNB_CHROMIUM" chromium chromium-browser google-chrome; do
    if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1; then exit 0; fi
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing chromium for the browser tests (about 1 minute) …"
    log=$(mktemp)
    if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y chromium; } >"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -n 20 "$log"
    rm -f "$log"
fi

echo "No Chromium found: the browser tests will be skipped."
echo "Install it (Debian: sudo apt install chromium), or name one: SAMNB_CHROMIUM=/path/to/chromium make test"
if [ "$CI" = true ]; then exit 1; fi
