/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which operation a request means: one sorted table of routes and targets, filled before serving.
 */
#include "api_private.h"

/* What an awsJson request with a target of nobody's is until it is answered. */
static const struct kn_api_structure nothing = {"Nothing", NULL, 0, 1};
static const struct kn_api_operation unknown_operation = {
    .name = "Unknown",
    .service = "kinesis",
    .method = "POST",
    .route = "/",
    .action = "kinesis:Unknown",
    .protocol = KN_API_AWS_JSON,
    .in = &nothing,
    .out = &nothing,
};

const struct kn_api_fault_row *kn_api_fault_find(const struct kn_api_operation *op,
                                                 const char *name)
{
    for (size_t i = 0; i < op->fault_count; i++)
        if (kn_str_eq(kn_str_from(op->faults[i].name), kn_str_from(name)))
            return &op->faults[i];
    return NULL;
}

/* Targets and routes are one order: a route begins with a slash, a target never does. */
static struct kn_str key_of(const struct kn_api_operation *op)
{
    return kn_str_from(op->target ? op->target : op->route);
}

static int compare(const struct kn_api_operation *op, struct kn_str route, struct kn_str method)
{
    int order = kn_str_cmp(key_of(op), route);
    return order ? order : kn_str_cmp(kn_str_from(op->method), method);
}

const struct kn_api_entry *kn_api_find(const struct kn_api *api, struct kn_str route,
                                       struct kn_str method)
{
    size_t at = KN_BISECT(i, 0, api->entry_count, compare(api->entries[i].op, route, method) < 0);
    bool found = at < api->entry_count && compare(api->entries[at].op, route, method) == 0;
    return found ? &api->entries[at] : NULL;
}

const struct kn_api_entry *kn_api_find_action(const struct kn_api *api, struct kn_str action)
{
    for (size_t i = 0; i < api->entry_count; i++)
        if (kn_str_eq(kn_str_from(api->entries[i].op->action), action))
            return &api->entries[i];
    return NULL;
}

/* The tables are ours: what the engine relies on is asserted once, here. */
static void check_tables(const struct kn_api_operation *op)
{
    kn_assert(op->in->row_count <= KN_API_MEMBERS_MAX);
    kn_assert(!op->refused_fault || kn_api_fault_find(op, op->refused_fault));
    kn_assert(!op->resource_name || op->resource_name->shape->type == KN_API_STRING);
    for (size_t i = 0; i < KN_ARRAY_LEN(op->resource_arns); i++)
        kn_assert(!op->resource_arns[i] || op->resource_arns[i]->shape->type == KN_API_STRING);
    for (size_t i = 0; i < op->out->row_count; i++)
        kn_assert(op->answer_stream || !op->out->rows[i].header);
}

int kn_api_add(struct kn_api *api, const struct kn_api_service *service, void *module_ctx)
{
    for (size_t i = 0; i < service->operation_count; i++) {
        const struct kn_api_operation *op = service->operations[i];
        struct kn_str route = key_of(op), method = kn_str_from(op->method);
        check_tables(op);
        if (kn_api_find(api, route, method))
            return -EEXIST;
        if (api->entry_count == KN_API_OPERATIONS_MAX)
            return -EDQUOT;
        size_t at = api->entry_count++;
        for (; at > 0 && compare(api->entries[at - 1].op, route, method) > 0; at--)
            api->entries[at] = api->entries[at - 1];
        api->entries[at] = (struct kn_api_entry){.op = op, .module = module_ctx};
        kn_api_metrics_bind(&api->entries[at]);
        if (op->protocol == KN_API_AWS_JSON && !api->unknown.op) {
            api->unknown.op = &unknown_operation;
            kn_api_metrics_bind(&api->unknown);
        }
    }
    return 0;
}
