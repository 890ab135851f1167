# SPDX-License-Identifier: Apache-2.0
"""The SDK as it is installed: a program finds it by pkg-config and by find_package, sees its headers only
there, and runs with it."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

import kinema

BUILD = pathlib.Path(os.environ.get("KINEMA_BUILD", pathlib.Path(kinema.BINARY).parent)).resolve()
PROGRAM = """
#include <curl/curl.h>
#include <kinema/aggregate.h>
#include <kinema/producer.h>
#include <stdio.h>

int main(void)
{
    struct kinema_producer *producer = NULL;
    struct kinema_config config = {.stream = "yard"};
    struct kinema_aggregate *records = NULL;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (kinema_producer_open(&config, &producer) == 0 || kinema_aggregate_new(0, &records) != 0)
        return 1;
    kinema_aggregate_free(records);
    puts(kinema_ack_error_name(4006));
    return 0;
}
"""
CONSUMER = """
#include <kinema/consumer.h>
#include <kinema/media.h>
#include <stdio.h>

int main(void)
{
    struct kinema_consumer *consumer = NULL;
    struct kinema_media *media = NULL;
    struct kinema_consumer_config records = {.stream = "orders"};
    struct kinema_media_config frames = {.stream = "yard"};
    if (kinema_consumer_open(&records, &consumer) == 0 || kinema_media_open(&frames, &media) == 0)
        return 1;
    kinema_consumer_close(consumer);
    kinema_media_close(media);
    puts("both refused");
    return 0;
}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(mine C)
find_package(kinema-producer 0.1 REQUIRED)
find_package(kinema-consumer 0.1 REQUIRED)
add_executable(mine mine.c)
target_link_libraries(mine PRIVATE kinema::kinema-producer)
add_executable(reads reads.c)
target_link_libraries(reads PRIVATE kinema::kinema-consumer)
"""


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120,
                          check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cache():
    return (BUILD / "CMakeCache.txt").read_text()


@pytest.fixture(scope="module")
def flags(cache):
    """A library built with sanitizers wants programs that are, too."""
    found = re.search(r"^KINEMA_SANITIZE:\w+=(.+)$", cache, re.M)
    return [f"-fsanitize={found[1]}"] if found else []


@pytest.fixture
def installed(tmp_path):
    """As a packager does: for a prefix, below a folder of one's own."""
    run("cmake", "--install", BUILD, "--component", "sdk", "--prefix", "/usr",
        env={**os.environ, "DESTDIR": str(tmp_path / "root")})
    (tmp_path / "mine.c").write_text(PROGRAM)
    (tmp_path / "reads.c").write_text(CONSUMER)
    return tmp_path / "root" / "usr"


def test_by_pkg_config(installed, flags, cache, tmp_path):
    compiler = re.search(r"^CMAKE_C_COMPILER:\w+=(.+)$", cache, re.M)[1]
    env = {**os.environ, "PKG_CONFIG_PATH": str(installed / "lib" / "pkgconfig")}
    for library, program, out in (("producer", "mine", "INVALID_MKV_DATA"), ("consumer", "reads", "both refused")):
        told = run("pkg-config", "--cflags", "--libs", f"kinema-{library}", env=env)
        run(compiler, "-std=c11", "-Wall", "-Wpedantic", "-Werror", *flags, tmp_path / f"{program}.c",
            "-o", tmp_path / program, *shlex.split(told))
        env["LD_LIBRARY_PATH"] = str(installed / "lib")
        assert run(tmp_path / program, env=env) == out + "\n"


def test_by_find_package(installed, flags, cache, tmp_path):
    compiler = re.search(r"^CMAKE_C_COMPILER:\w+=(.+)$", cache, re.M)[1]
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={installed}",
        f"-DCMAKE_C_COMPILER={compiler}", f"-DCMAKE_C_FLAGS={' '.join(flags)}")
    run("cmake", "--build", tmp_path / "b")
    assert run(tmp_path / "b" / "mine") == "INVALID_MKV_DATA\n"
    assert run(tmp_path / "b" / "reads") == "both refused\n"


@pytest.mark.parametrize("library, name", [("libkinema-producer", "kinema_producer_open"),
                                           ("libkinema-consumer", "kinema_consumer_open")])
def test_a_library_is_versioned_and_shows_only_its_own_names(installed, library, name):
    names = sorted(path.name for path in (installed / "lib").glob(f"{library}.so*"))
    assert names == [f"{library}.so", f"{library}.so.0", f"{library}.so.0.1.0"]
    assert f"[{library}.so.0]" in run("readelf", "-d", installed / "lib" / names[0])
    shown = {line.split()[-1] for line in
             run("nm", "-D", "--defined-only", installed / "lib" / names[0]).splitlines()}
    declared = set()
    for header in (installed / "include" / "kinema").glob("*.h"):
        declared |= set(re.findall(r"\b(kinema_\w+)\(", header.read_text()))
    strange = {name for name in shown if not name.startswith(("__asan", "__odr", "_init", "_fini"))}
    assert strange <= declared and name in shown


@pytest.mark.skipif(not shutil.which("doxygen"), reason="not run: there is no doxygen")
def test_each_function_has_a_man_page(installed):
    pages = {path.name for path in (installed / "share" / "man" / "man3").iterdir()}
    for name in ("aggregate", "consumer", "credentials", "media", "producer"):
        header = installed / "include" / "kinema" / f"{name}.h"
        functions = re.findall(r"^KINEMA_API [^;(]*?\b(kinema_\w+)\(", header.read_text(), re.M)
        assert functions and {f"{one}.3" for one in functions} <= pages
        assert f"{header.name}.3" in pages
    assert not [name for name in pages if not name.startswith("kinema_") and not name.endswith(".h.3")]
