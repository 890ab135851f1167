#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A camera, a file or a test picture into a stream by ffmpeg and curl alone.
#
#   put_media_curl.sh STREAM INPUT [INGEST]
#
#   STREAM   an existing stream
#   INPUT    what ffmpeg reads: video.mp4, rtsp://…, or "test" for a test picture of 10 s
#   INGEST   the data endpoint, http://127.0.0.1:4567 unless said
#
# Signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY by curl (7.87 or newer). The body is not
# part of the signature, and says so: UNSIGNED-PAYLOAD, allowed over TLS and on loopback. With
# PAYLOAD_HASH set to the SHA-256 of nothing, the form of AWS's C producer, it works everywhere.
# Acknowledgements go to standard output.
# H.264 or H.265 is copied, so its key-frame distance decides how long a fragment is (1 to 20 s).
set -eu
stream=$1 input=$2 ingest=${3:-http://127.0.0.1:4567}
region=${AWS_DEFAULT_REGION:-us-east-1}

case $input in
test) set -- -f lavfi -i testsrc2=size=640x360:rate=25 -t 10 -c:v libx264 -preset ultrafast -g 50 ;;
*://*) set -- -i "$input" -map 0:v:0 -map '0:a:0?' -c copy ;;
*) set -- -re -i "$input" -map 0:v:0 -map '0:a:0?' -c copy ;; # at the file's own pace
esac

# One Cluster a key frame: the limits on its time and size lie beyond what a camera sends.
# curl reads standard input without waiting for it ("."), so that acknowledgements show at once.
ffmpeg -nostdin -loglevel error "$@" \
    -f matroska -live 1 -cluster_time_limit 19000 -cluster_size_limit 40000000 - |
    curl --no-progress-meter --no-buffer --fail-with-body --http1.1 --upload-file . \
        --request POST \
        --aws-sigv4 "aws:amz:$region:kinesisvideo" \
        --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
        --header "x-amz-content-sha256: ${PAYLOAD_HASH:-UNSIGNED-PAYLOAD}" \
        --header "x-amzn-stream-name: $stream" \
        --header 'x-amzn-fragment-timecode-type: RELATIVE' \
        --header "x-amzn-producer-start-timestamp: $(date +%s.%3N)" \
        --header 'content-type: application/json' \
        "$ingest/putMedia"
