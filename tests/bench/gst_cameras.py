#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Cameras of gst-rtsp-server that send a Matroska file of H.264 at its pace, plain or in SRTP; for rows, which
cannot have SRTP of rtsp_load. Prints its port, and ends with its standard input. What it costs itself (1.1–1.9 %
of a core a camera) counts for nobody."""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

LAUNCH = "( filesrc location={media} ! matroskademux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--media", required=True)
    arguments.add_argument("--count", type=int, required=True)
    arguments.add_argument("--srtp", action="store_true")
    options = arguments.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    for number in range(options.count):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(LAUNCH.format(media=options.media))
        if options.srtp:
            factory.set_profiles(GstRtsp.RTSPProfile.SAVP)
        server.get_mount_points().add_factory(f"/camera-{number}", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_HUP, lambda *_: loop.quit())
    loop.run()


main()
