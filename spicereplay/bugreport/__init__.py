"""What the client ryll leaves behind: bug-report zips, auto-snapshot directories, `--capture` directories.

The package reads the containers, the client's own figures and the fixed facts of ryll's recorder; the packets
inside go to `spicereplay.capture` through whoever replays them. Source: ryll-formats.md.
"""
