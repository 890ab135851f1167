#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An IP camera: gst-rtsp-server with a test source. Run by the tests as a process of its own.

Prints its URL, then one line for each frame of video as it goes to the payloader: the SHA-256 of
its NAL units with their lengths, as Matroska holds them, without parameter sets, which a receiver
moves to CodecPrivate; with --one-slice, of its slice alone."""

import argparse
import hashlib

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

GOP = 5
VIDEO = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bframes={bframes} "
            "byte-stream=false option-string=scenecut=0{slices} ! h264parse ! "
            "video/x-h264,stream-format=avc,alignment=au ! identity name=tap silent=true ! "
            "rtph264pay name=pay0 pt=96 config-interval={interval}",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} ! h265parse ! "
            "video/x-h265,stream-format=hvc1,alignment=au ! identity name=tap silent=true ! "
            "rtph265pay name=pay0 pt=96 config-interval={interval}",
}
AUDIO = {
    "pcma": "audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8",
    "pcmu": "audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0",
    "aac": "audio/x-raw,rate=16000,channels=1 ! avenc_aac ! aacparse ! rtpmp4gpay name=pay1 pt=97",
    "opus": "audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay name=pay1 pt=98",
    "g726": "audio/x-raw,rate=8000,channels=1 ! avenc_g726 bitrate=32000 ! rtpg726pay name=pay1 pt=99",
    "none": "",
}


def without_parameter_sets(data, h265, slices_only):
    """NAL units with lengths of 4 bytes; ITU-T H.264, 7.4.1, and H.265, 7.4.2.2."""
    kept, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at:at + 4], "big")
        kind = data[at + 4] >> 1 & 63 if h265 else data[at + 4] & 31
        if kind in (1, 5) if slices_only else kind not in ((32, 33, 34) if h265 else (7, 8)):
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def launch(options):
    video = VIDEO[options.video].format(gop=options.gop, bframes=options.bframes,
                                        interval=options.interval,
                                        slices=":sliced-threads=0" if options.one_slice else "")
    text = (f"( videotestsrc is-live=true pattern=smpte ! video/x-raw,width=160,height=120,"
            f"framerate={options.fps}/1 ! timeoverlay ! {video} ")
    if options.audio != "none":
        text += f"audiotestsrc is-live=true samplesperbuffer=800 ! {AUDIO[options.audio]} "
    return text + ")"


class Camera(GstRtspServer.RTSPMediaFactory):
    def __init__(self, options):
        super().__init__()
        self.set_launch(launch(options))
        self.set_shared(True)
        if options.srtp:
            self.set_profiles(GstRtsp.RTSPProfile.SAVP)
        self.wrong_clock, self.one_slice = options.wrong_clock, options.one_slice
        self.connect("media-configure", self.configure)

    def configure(self, _factory, media):
        media.get_element().get_by_name("tap").connect("handoff", Camera.frame, self.one_slice)
        if self.wrong_clock:
            media.connect("prepared", Camera.set_wrong_clock)

    @staticmethod
    def set_wrong_clock(media):
        """Sender reports say the time since the machine was started."""
        for element in media.get_element().get_parent().children:
            if element.get_factory().get_name() == "rtpbin":
                element.set_property("ntp-time-source", 3)

    @staticmethod
    def frame(tap, buffer, slices_only):
        h265 = "h265" in tap.get_static_pad("sink").get_current_caps().to_string()
        data = buffer.extract_dup(0, buffer.get_size())
        print(hashlib.sha256(without_parameter_sets(data, h265, slices_only)).hexdigest(), flush=True)


def protect(server, factory, user, password, digest):
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if digest:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    open_to_users(factory)
    server.set_auth(auth)


def open_to_users(factory):
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)


def encrypt(server, factory, certificate):
    open_to_users(factory)
    auth = server.get_auth() or GstRtspServer.RTSPAuth()
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.set_default_token(token)
    server.set_auth(auth)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--address", default="127.0.0.1")
    arguments.add_argument("--port", default="0")
    arguments.add_argument("--video", choices=VIDEO, default="h264")
    arguments.add_argument("--audio", choices=AUDIO, default="pcma")
    arguments.add_argument("--fps", type=int, default=10)
    arguments.add_argument("--gop", type=int, default=GOP)
    arguments.add_argument("--bframes", type=int, default=0)
    arguments.add_argument("--interval", type=int, default=0,
                           help="of parameter sets in the stream, s; -1: with each key frame")
    arguments.add_argument("--one-slice", action="store_true", help="a picture of H.264, and nothing else of it is printed")
    arguments.add_argument("--basic", metavar="USER:PASSWORD")
    arguments.add_argument("--digest", metavar="USER:PASSWORD")
    arguments.add_argument("--srtp", action="store_true")
    arguments.add_argument("--tls", metavar="PEM")
    arguments.add_argument("--wrong-clock", action="store_true")
    options = arguments.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(options.port)
    factory = Camera(options)
    if options.basic or options.digest:
        protect(server, factory, *(options.basic or options.digest).split(":", 1),
                bool(options.digest))
    if options.tls:
        encrypt(server, factory, options.tls)
    server.get_mount_points().add_factory("/live", factory)
    assert server.attach(None), "the port is taken"
    print(f"{'rtsps' if options.tls else 'rtsp'}://{options.address}:{server.get_bound_port()}/live",
          flush=True)
    GLib.MainLoop().run()


main()
