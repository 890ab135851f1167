/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The awsJson module of the tests (tests/unit/api_wire) beside the demo, on the same engine and the
 * same request: open_wire, make_call, perhaps sign_for_wire, run.
 */
#ifndef TESTS_UNIT_WIRE_FIXTURE_H
#define TESTS_UNIT_WIRE_FIXTURE_H

#include "api_fixture.h"
#include "wire_module.h"

#define JSON_TYPE "application/x-amz-json-1.1"
#define CBOR_TYPE "application/x-amz-cbor-1.1"

extern struct wire wire;

void open_wire(bool with_keys);
/* POST / with that content type and "Wire_20260101.<operation>"; either may be NULL. */
void make_call(const char *type, const char *operation, struct kn_bytes body);
void sign_for_wire(const char *id, const char *secret);
void json_call(const char *operation, const char *body); /* all at once, without keys */
void cbor_call(const char *operation, const char *hex);

#endif
