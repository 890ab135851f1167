/* SPDX-License-Identifier: Apache-2.0 */
/* kinema-camera probe: looks at a camera and says as JSON what it offers and how it sends. */
#ifndef INGEST_CAMERA_PROBE_H
#define INGEST_CAMERA_PROBE_H

/* argv: the URL, then options. Returns the exit code: 0 it sends, 1 it does not, 2 usage. */
int camera_probe(int argc, char **argv);

#endif
