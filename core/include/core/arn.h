/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing names of resources, "arn:aws:kinesisvideo:<region>:<account>:<type>/<name>/<creation
 * ms>". Reading them: kn_api_arn_parse (core/api.h). The creation time tells a stream from a later
 * one of the same name.
 */
#ifndef CORE_ARN_H
#define CORE_ARN_H

#include "core/api.h"

/* type: "stream". In the arena; ptr is NULL when that is spent. */
struct kn_str kn_arn_format(struct kn_arena *arena, const struct kn_api_identity *identity,
                            const char *type, struct kn_str name, int64_t created_ms);
/* Is it of this type, and of our partition, region and account? */
/* Raises ResourceNotFoundException with that text, and says so when the ARN is of a region or an
 * account that is not this server's: clients have them by their own configuration. */
int kn_arn_not_found(struct kn_api_call *call, const struct kn_api_arn *arn, struct kn_str text);
bool kn_arn_is_ours(const struct kn_api_arn *arn, const struct kn_api_identity *identity,
                    const char *type);

#endif
