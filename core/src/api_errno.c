/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left when a handler returns an operating error instead of a fault: one table from errno
 * to an answer. An answer that names a fault needs the operation to declare it; otherwise it is an
 * InternalFailure, which SDKs repeat. Overload of an upload is 504, the one status on which AWS's
 * producers back off (kvs-producer contract, rule 8).
 */
#include "api_private.h"

#include "core/log.h"

static const struct {
    int error;
    const char *faults[2]; /* the first that the operation declares is used */
    int status;            /* else, or without a fault: this, with name */
    const char *name;
    const char *message;
} rows[] = {
    {ENOENT,
     {"ResourceNotFoundException", NULL},
     500,                                                             "InternalFailure",
     "The requested stream is not found or not active."                                                                      },
    {EEXIST,
     {"ResourceInUseException", NULL},
     500,                                                             "InternalFailure",
     "The resource exists already."                                                                                          },
    {EINVAL,
     {"InvalidArgumentException", NULL},
     500,                                                             "InternalFailure",
     "An argument is not of the right form."                                                                                 },
    {EMSGSIZE,
     {"InvalidArgumentException", NULL},
     500,                                                             "InternalFailure",
     "The request or its answer is too large."                                                                               },
    {EACCES,
     {"NotAuthorizedException", "AccessDeniedException"},
     500,                                                             "InternalFailure",
     "Not permitted."                                                                                                        },
    {ESTALE,
     {"VersionMismatchException", NULL},
     503,                                                             "ServiceUnavailable",
     "The resource has changed meanwhile. Try again."                                                                        },
    {EDQUOT,
     {"ClientLimitExceededException", "LimitExceededException"},
     400,                                                             "ThrottlingException",
     "A limit of this server is reached."                                                                                    },
    {EBUSY,     {"ResourceInUseException", NULL},                503, "ServiceUnavailable",  "The resource is in use."       },
    {EAGAIN,    {NULL, NULL},                                    503, "ServiceUnavailable",  "The server is busy. Try again."},
    {ENOSPC,
     {NULL, NULL},
     503,                                                             "ServiceUnavailable",
     "The server has no space left to store more."                                                                           },
    {ESHUTDOWN, {NULL, NULL},                                    503, "ServiceUnavailable",  "The server is stopping."       },
    {ETIMEDOUT,
     {NULL, NULL},
     503,                                                             "ServiceUnavailable",
     "The server cannot say what became of the request. Try again."                                                          },
};

void kn_api_raise_errno(struct kn_api_call_state *state, int error)
{
    const struct kn_api_operation *op = state->entry->op;
    int status = 500;
    const char *name = "InternalFailure", *message = "The server failed; its log says why.";
    const struct kn_api_fault_row *fault = NULL;
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        if (rows[i].error != -error)
            continue;
        for (size_t k = 0; k < KN_ARRAY_LEN(rows[i].faults) && !fault; k++)
            fault = rows[i].faults[k] ? kn_api_fault_find(op, rows[i].faults[k]) : NULL;
        status = fault ? fault->status : rows[i].status;
        name = fault ? fault->name : rows[i].name;
        message = rows[i].message;
    }
    if (!fault && status >= 500 && op->input_stream)
        status = 504;
    if (status >= 500)
        kn_log_warn("api_failed", "operation=%s err=%s request=%s", op->name, kn_errname(error),
                    state->call.request_id);
    (void) kn_api_raise(state, status, name, "%s", message);
}

/* The throttling that Kinesis' SDKs repeat with a longer pause than a 503; KVS has no such fault
 * (ClientLimitExceededException is not repeated: contracts/kvs-api.md 1.4), so there it is the 503.
 */
void kn_api_raise_crowded(struct kn_api_call_state *state)
{
    const char *name = "ProvisionedThroughputExceededException";
    const struct kn_api_fault_row *fault = kn_api_fault_find(state->entry->op, name);
    (void) kn_api_raise(state, fault ? fault->status : 503, fault ? name : "ServiceUnavailable",
                        "Too many answers wait to be read. Try again.");
}
