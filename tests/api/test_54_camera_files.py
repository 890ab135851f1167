# SPDX-License-Identifier: Apache-2.0
"""Files that are played as if they were cameras: at their own speed, again and again, and from one
folder alone."""

import functools
import hashlib
import json
import os
import re
import signal
import subprocess
import time

import console
import control
import kinema
import pytest
import rtsp
from test_51_console_cameras import look
from test_52_cameras import add, remove
from test_53_edge import config, describe, secret, start

SECONDS, FPS, GOP = 2, 10, 10
FRAMES = SECONDS * FPS
SEAM_MS = 1000  # a busy machine may need a moment to open the file again


def make(path, *codecs, seconds=SECONDS, size="160x120"):
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc=size={size}:rate={FPS}",
                    "-f", "lavfi", "-i", "sine=440:r=48000", "-t", str(seconds), "-g", str(GOP),
                    *(codecs or ("-c:v", "libx264", "-bf", "2", "-c:a", "aac")), path], check=True)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Two seconds with pictures that are shown in another order than sent."""
    return make(tmp_path_factory.mktemp("film") / "film.mp4")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("beside") / "films"
    path.mkdir()
    return path


@pytest.fixture
def folder(root):
    path = root / kinema.new_name()
    path.mkdir()
    return path


def args(root):
    return ["--camera-files", root, "--camera-workers", 1, "--camera-timeout-ms", 1000]


@pytest.fixture(scope="module")
def shared_server(root):
    with kinema.Server(args=args(root)) as one:
        yield one


def copy(film, path, *options):
    if path.suffix == ".m2ts":  # each packet behind a time, as recorders of discs write them
        whole = copy(film, path.with_suffix(".ts")).read_bytes()
        path.write_bytes(b"".join(bytes(4) + whole[at:at + 188] for at in range(0, len(whole), 188)))
        return path
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", film, "-c", "copy", *options, path], check=True)
    return path


def url(path):
    return f"file://{path}"


def nals(payload):
    at = 0
    while at < len(payload):
        end = at + 4 + int.from_bytes(payload[at:at + 4], "big")
        yield payload[at + 4:end]
        at = end


def slices(nal_units):
    """ITU-T H.264, 7.4.1: what is left where a container moves parameter sets and delimiters."""
    return [hashlib.sha256(nal).hexdigest() for nal in nal_units if nal[0] & 31 in (1, 5)]


@functools.cache
def slices_of(film):
    stream = subprocess.run(["ffmpeg", "-v", "error", "-i", film, "-map", "0:v", "-c", "copy", "-bsf:v",
                             "h264_mp4toannexb", "-f", "h264", "-"], check=True, capture_output=True).stdout
    return slices(nal.rstrip(b"\0") for nal in re.split(b"\0\0\0?\1", stream) if nal)


@functools.cache
def packets_of(film, kind):
    said = subprocess.run(["ffmpeg", "-v", "error", "-i", film, "-map", f"0:{kind}", "-c", "copy", "-f",
                           "framehash", "-hash", "sha256", "-"], check=True, capture_output=True, text=True)
    return [line.split(",")[5].strip() for line in said.stdout.splitlines() if line[0] != "#"]


@functools.cache
def ahead_ms(film):
    """How long before it is shown a picture comes at most: when others are decoded with its help."""
    said = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,dts_time",
                           "-of", "csv=p=0", film], check=True, capture_output=True, text=True)
    times = [[float(one) for one in line.split(",")[:2]] for line in said.stdout.split()]
    return max(shown - decoded for shown, decoded in times) * 1000


def repeated(sent, count):
    return (sent * (count // len(sent) + 1))[:count]


def times_of(documents, track=1):
    """In the order in which the frames lie there."""
    return [document.timecode + frame.time for document in documents for frame in document.frames
            if frame.track == track]


# --- what is played --------------------------------------------------------------------------------
def test_every_frame_is_stored_in_each_pass_at_the_files_own_speed(server, folder, film):
    paths = {kinema.new_name(): copy(film, folder / f"a film.{kind}") for kind in ("mp4", "mkv", "m2ts", "ts")}
    before = time.time() * 1000
    for stream, path in paths.items():
        add(server, stream, url(path).replace(" ", "%20"))
    cameras = {stream: rtsp.recorded(server, stream, 5) for stream in paths}  # the third pass has begun
    for stream in paths:
        remove(server, stream)
    after = time.time() * 1000
    for stream, path in paths.items():
        check_passes(server, stream, cameras[stream], film, path, (before, after))


def check_passes(server, stream, now, film, path, between):
    kind = path.suffix[1:]
    assert now["ReconnectCount"] == now["LostFrameCount"] == 0 and "Fault" not in now, now
    assert [track["CodecId"] for track in now["Tracks"]] == ["V_MPEG4/ISO/AVC", "A_AAC"]
    _, documents = rtsp.stored(server, stream)
    found = [frame for document in documents for frame in document.frames if frame.track == 1]
    assert len(found) > 2 * FRAMES
    assert slices(nal for frame in found for nal in nals(frame.payload)) == \
        repeated(slices_of(film), len(found))
    if "ts" not in kind:
        assert rtsp.hashes(documents, 1) == repeated(packets_of(path, "v"), len(found)), "byte for byte"
    sound = packets_of(film, "a")
    heard = [sound.index(one) for one in rtsp.hashes(documents, 2)]
    assert len(heard) > len(sound) and all(
        b == a + 1 or (a >= len(sound) - 2 and b <= 1) for a, b in zip(heard, heard[1:])), \
        "all but what an edit list leaves out at either end"
    times = times_of(documents)
    shown = sorted(times[:len(times) // FRAMES * FRAMES])  # of whole passes
    apart = [b - a for a, b in zip(shown, shown[1:])]
    assert min(apart) > 0 and max(apart) < SEAM_MS, apart
    for at, gap in enumerate(apart):
        # matroskademux 1.22 has a stream's first two frames as soon as those of one that begins before it.
        odd_ms = 25 if kind == "mkv" and at % FRAMES <= 1 else 2
        seam = (at + 1) % FRAMES == 0
        assert gap >= 1000 / FPS - 2 if seam else abs(gap - 1000 / FPS) <= odd_ms, apart
    assert server.log().count(f"upload_started stream={stream} ") == 1, "one upload goes on"
    assert between[0] <= shown[0] and shown[-1] <= between[1] + ahead_ms(film), "times are those of the clock"


def test_codecs_are_those_of_cameras(server, folder):
    kinds = [
        ("mkv", ("-c:v", "libx264", "-ar", "8000", "-c:a", "pcm_alaw"), ["V_MPEG4/ISO/AVC", "A_MS/ACM"]),
        ("mp4", ("-c:v", "libx265", "-x265-params", "log-level=error", "-tag:v", "hvc1", "-c:a", "aac"),
         ["V_MPEGH/ISO/HEVC", "A_AAC"]),
        ("mkv", ("-c:v", "libx264", "-c:a", "libopus"), ["V_MPEG4/ISO/AVC", "A_OPUS"]),
    ]
    cameras = []
    for at, (kind, codecs, expected) in enumerate(kinds):
        cameras.append((kinema.new_name(), make(folder / f"{at}.{kind}", *codecs), expected))
        add(server, cameras[-1][0], url(cameras[-1][1]))
    for stream, path, expected in cameras:
        now = rtsp.recorded(server, stream)
        remove(server, stream)
        assert [track["CodecId"] for track in now["Tracks"]] == expected
        documents = rtsp.stored(server, stream)[1]
        found = rtsp.hashes(documents)
        assert len(found) >= FRAMES and found == repeated(packets_of(path, "v"), len(found))


def test_what_cannot_be_stored_is_named_and_the_rest_is_played(server, folder):
    path, stream = make(folder / "x.mp4", "-c:v", "libx264", "-c:a", "ac3"), kinema.new_name()
    add(server, stream, url(path))
    now = rtsp.recorded(server, stream, 1)
    assert now["LeftOut"] == "audio ac3" and len(now["Tracks"]) == 1
    remove(server, stream)


def test_a_folders_files_are_played_by_name_and_then_again(server, folder, film):
    copy(film, folder / "1.mkv")
    (folder / "2.mp4").write_bytes(film.read_bytes()[:1000])
    (folder / "3.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    make(folder / "4.ts", size="320x240")
    (folder / ".5.mp4").write_bytes(b"no film")
    stream = kinema.new_name()
    add(server, stream, url(folder))
    sizes = []
    for _ in range(3):
        now = rtsp.until(server, stream, lambda camera: camera.get("Tracks") and
                         (not sizes or camera["Tracks"][0]["Width"] != sizes[-1]))
        sizes.append(now["Tracks"][0]["Width"])
    assert sizes == [160, 320, 160]
    assert now["LeftOut"] == "file 2.mp4" and now["ReconnectCount"] == 0 and "Fault" not in now
    remove(server, stream)
    both = slices_of(folder / "1.mkv") + slices_of(folder / "4.ts")
    found = [frame for document in rtsp.stored(server, stream)[1] for frame in document.frames
             if frame.track == 1]
    assert len(found) > 2 * FRAMES
    assert slices(nal for frame in found for nal in nals(frame.payload)) == repeated(both, len(found))


def test_the_next_pass_plays_what_the_path_means_by_then(server, folder, film):
    path, stream = copy(film, folder / "x.mkv"), kinema.new_name()
    add(server, stream, url(path))
    rtsp.recorded(server, stream, 1)
    os.replace(make(folder / "y.mkv", size="320x240"), path)
    now = rtsp.until(server, stream, lambda camera: camera["Tracks"][0]["Width"] == 320)
    assert now["ReconnectCount"] == 0
    remove(server, stream)


def test_a_process_that_dies_costs_the_rest_of_a_pass(make_server, root, folder, film):
    server, stream = make_server(args=args(root)), kinema.new_name()
    add(server, stream, url(copy(film, folder / "x.mp4")))
    rtsp.recorded(server, stream, 1)
    (pid,) = rtsp.child_of(server)
    os.kill(pid, signal.SIGKILL)
    rtsp.until(server, stream, lambda camera: camera["State"] != "RECORDING")
    rtsp.recorded(server, stream, 2)
    remove(server, stream)


# --- where files may lie ---------------------------------------------------------------------------
def test_files_are_refused_where_the_setting_names_no_folder(make_server, folder, film):
    server = make_server()
    path = copy(film, folder / "x.mp4")
    stream = server.create_stream()
    for operation, members in (("PutCamera", {"StreamName": stream}), ("PutCameraSecret", {"SecretName": "s"})):
        status, answer = rtsp.call(server, operation, Url=url(path), **members)
        assert status == 400 and "camera_files" in answer["Message"], answer
    browser = console.Browser(server)
    assert browser.login(server.key)[0] == 200
    status, answer = browser.post("/kinema/v1/probes", {"url": url(path)})
    assert status == 400 and "camera_files" in json.dumps(answer)
    done = add(server, stream, url(path), check=False)
    assert done.returncode == 1 and "camera_files" in done.stderr
    for wrong in (folder / "none", path):
        with pytest.raises(kinema.StartFailed) as failed:
            kinema.Server(data=folder / "data", args=["--camera-files", wrong])
        assert "camera_files" in failed.value.log


def test_a_setting_that_is_taken_back_stops_the_files(make_server, root, folder, film):
    server, stream = make_server(args=args(root)), kinema.new_name()
    add(server, stream, url(copy(film, folder / "x.mp4")))
    rtsp.recorded(server, stream, 1)
    for server.args in ([], ["--camera-files", "/usr"]):
        server.restart()
        now = rtsp.until(server, stream, lambda camera: camera.get("Fault"))
        assert now["Fault"] == "unauthorized" and "camera_files" in now["FaultMessage"]


def test_neither_a_path_nor_a_link_leads_out_of_the_folder(server, root, folder, film):
    outside = copy(film, root.parent / "x.mp4")
    for path in (outside, f"{root}/../x.mp4", f"{root}/%2e%2e/x.mp4", f"{root}x/x.mp4", "/etc/passwd"):
        status, answer = rtsp.call(server, "PutCamera", StreamName=server.create_stream(), Url=url(path))
        assert status == 400, answer
    (folder / "whole.mp4").symlink_to(outside)
    (folder / "up.mp4").symlink_to("../../x.mp4")
    (folder / "parent").symlink_to("../..")
    paths = {kinema.new_name(): folder / name for name in ("whole.mp4", "up.mp4", "parent/x.mp4")}
    for stream, path in paths.items():
        add(server, stream, url(path))
    for stream in paths:
        now = rtsp.until(server, stream, lambda camera: camera.get("Fault"))
        assert (now["Fault"], now["State"]) == ("unauthorized", "WAITING") and "leads out" in now["FaultMessage"]
        remove(server, stream)
    stream = kinema.new_name()
    add(server, stream, url(folder))
    now = rtsp.until(server, stream, lambda camera: camera.get("Fault"))
    assert now["Fault"] == "unsupported", "nor do those of a folder"
    remove(server, stream)


# --- what is no film -------------------------------------------------------------------------------
def hole(path, head, size=1 << 40):
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(size)


def spoil(how, path, film):
    whole = film.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(hashlib.shake_256(how.encode()).digest(100000))
    elif how == "garbage inside":
        path.write_bytes(whole[:64] + hashlib.shake_256(how.encode()).digest(len(whole) - 64))
    elif how == "cut":
        path.write_bytes(whole[:len(whole) // 2])  # its index lay at the end
    elif how == "list":
        path.write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:1/x.ts\n")
    elif how == "endless zeros":
        hole(path, whole[:40])
    elif how == "endless index":  # 2 GiB of it, by what its box says
        hole(path, whole[:int.from_bytes(whole[:4], "big")] + b"\x7f\xff\xff\xffmoov")
    elif how == "endless packets":
        hole(path, (b"\x47\x1f\xff\x10" + bytes(184)) * 4)
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "no key frame":
        copy(film, path, "-bsf:v", "noise=drop=key", "-an")
    elif how == "sound only, of no kind":
        make(path, "-vn", "-c:a", "mp3", "-f", "mp4")


SPOILT = [
    ("none", "not_found"),
    ("empty", "unsupported"),
    ("garbage", "unsupported"),
    ("list", "unsupported"),
    ("pipe", "unsupported"),
    ("sound only, of no kind", "unsupported"),
    ("no key frame", "broken"),
    ("cut", "broken"),
    ("garbage inside", "broken"),
    ("endless zeros", "broken"),
    ("endless index", "broken: a part of the file is said to be longer than 128 MiB"),
    ("endless packets", "stalled"),
]


def test_what_is_no_film_costs_an_error_and_nothing_else(server, folder, film):
    good = kinema.new_name()
    add(server, good, url(copy(film, folder / "good.mkv")))
    rtsp.recorded(server, good, 1)
    children = rtsp.child_of(server)
    streams = {how: kinema.new_name() for how, _ in SPOILT}
    for at, (how, _) in enumerate(SPOILT):
        spoil(how, folder / f"{at}.mp4", film)
        add(server, streams[how], url(folder / f"{at}.mp4"))
    for how, fault in SPOILT:
        now = rtsp.until(server, streams[how], lambda camera: camera.get("Fault"))
        assert f"{now['Fault']}: {now['FaultMessage']}".startswith(fault), (how, now)
        assert now["FaultMessage"] and now["FrameCount"] == 0, (how, now)
    others = rtsp.camera(server, good)
    rtsp.recorded(server, good, others["FragmentCount"] + 2)
    for stream in streams.values():
        remove(server, stream)
    assert rtsp.child_of(server) == children, "the process lives on"
    assert rtsp.camera(server, good)["ReconnectCount"] == 0
    remove(server, good)


def test_a_film_that_does_not_end_stalls_and_is_begun_again(server, folder, film, stream):
    hole(folder / "x.ts", copy(film, folder / "whole.ts").read_bytes())
    add(server, stream, url(folder / "x.ts"))
    now = rtsp.until(server, stream, lambda camera: camera.get("Fault"))
    assert now["Fault"] == "stalled" and now["FrameCount"] > FRAMES, now
    before = now["FragmentCount"]
    rtsp.recorded(server, stream, before + 1)
    remove(server, stream)


# --- the other doors -------------------------------------------------------------------------------
def test_an_edge_configuration_says_file_uri(server, folder, film, stream):
    path = copy(film, folder / "x.mp4")
    arn = secret(server, "film", url(path))
    rtsp_arn = secret(server, "camera", "rtsp://127.0.0.1:1/x")
    edge = config(arn)
    source = edge["RecorderConfig"]["MediaSourceConfig"]
    status, fault, answer = start(server, stream, edge)
    assert (status, fault) == (400, "InvalidArgumentException") and "FILE_URI" in answer["Message"]
    source["MediaUriType"] = "FILE_URI"
    status, _, answer = start(server, stream, edge)
    assert status == 200 and answer["EdgeConfig"] == edge
    rtsp.recorded(server, stream, 1)
    source["MediaUriSecretArn"] = rtsp_arn
    status, fault, answer = start(server, stream, edge)
    assert (status, fault) == (400, "InvalidArgumentException") and "RTSP_URI" in answer["Message"]
    shown = describe(server, stream)
    assert shown["EdgeConfig"]["RecorderConfig"]["MediaSourceConfig"] == {
        "MediaUriType": "FILE_URI", "MediaUriSecretArn": arn}
    assert shown["EdgeAgentStatus"]["LastRecorderStatus"]["RecorderStatus"] == "SUCCESS"
    assert control.post(server, "/deleteEdgeConfiguration", {"StreamName": stream})[0] == 200


def test_a_look_at_a_file_says_what_is_in_it(server, folder, film):
    path = copy(film, folder / "x.mp4")
    browser = console.Browser(server)
    assert browser.login(server.key)[0] == 200
    found = look(browser, url(path))()
    assert found["ok"] and [track["codec"] for track in found["tracks"]] == ["V_MPEG4/ISO/AVC", "A_AAC"]
    found = look(browser, url(folder / "none"))()
    assert not found["ok"] and found["fault"] == "not_found"
    env = {"LSAN_OPTIONS": f"suppressions={kinema.ROOT}/tests/lsan.supp:print_suppressions=0",
           "ASAN_OPTIONS": "fast_unwind_on_malloc=0"}
    done = kinema.run("camera", "probe", url(path), "--seconds", 1, env=env)
    assert '"ok":true' in done.stdout and '"V_MPEG4/ISO/AVC","width":160' in done.stdout
