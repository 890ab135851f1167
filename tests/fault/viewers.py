# SPDX-License-Identifier: Apache-2.0
"""Viewers that ask again and again while something fails."""

import statistics
import threading
import time

import hls
import media


class Viewer(threading.Thread):
    """Asks for one thing again and again; .took: (start, end) of each."""

    def __init__(self, kind, ask):
        super().__init__(daemon=True)
        self.kind, self.ask, self.took, self.problem = kind, ask, [], None
        self.halt = threading.Event()

    def run(self):
        try:
            while not self.halt.wait(0.02):
                start = time.monotonic()
                self.ask()
                self.took.append((start, time.monotonic()))
        except Exception as problem:  # noqa: BLE001: whatever it is, the test shall say it
            self.problem = problem

    def within(self, since, until):
        return [b - a for a, b in self.took if since <= a and b <= until]

    def say(self, name, since, until):
        took = self.within(since, until)
        if took:
            print(f"{self.kind:>10} {name}: {len(took):4} served, median "
                  f"{statistics.median(took) * 1000:6.1f} ms, most {max(took) * 1000:6.1f} ms")


def of_a_recording(server, tmp_path):
    """Three kinds of viewers of a stream that was recorded before."""
    capture = hls.make(tmp_path / "seen.mkv", *hls.picture(6), *hls.X264)
    stream = server.create_stream()
    acks = media.upload(server, stream, capture)
    session = hls.open_session(server, stream, **hls.produced(server, stream))
    url = hls.playlist_url(session)
    segment = hls.playlist(session).segments[0].url
    archived = server.archived(stream, "GET_MEDIA_FOR_FRAGMENT_LIST")

    def ask(url):
        answer = hls.get(url)
        assert answer.status == 200 and answer.body

    def fragments():
        assert archived.get_media_for_fragment_list(
            StreamName=stream, Fragments=[acks[0]["FragmentNumber"]])["Payload"].read()

    return [Viewer("playlist", lambda: ask(url)), Viewer("segment", lambda: ask(segment)),
            Viewer("fragment", fragments)]
