/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <errno.h>

enum datastream_state datastream_state_of(const struct datastream *ds,
                                          const struct datastream_settings *settings)
{
    if (!settings->busy_until_ms)
        return settings->deleting ? DATASTREAM_GONE : DATASTREAM_ACTIVE;
    int64_t left = settings->busy_until_ms - kn_wall_ms(ds->clock);
    if (left > (int64_t) ds->conf->stream_state_ms)
        left = 0; /* the setting was longer then, or the clock has stepped back */
    if (left <= 0)
        return settings->deleting ? DATASTREAM_GONE : DATASTREAM_ACTIVE;
    return settings->deleting   ? DATASTREAM_DELETING
           : settings->creating ? DATASTREAM_CREATING
                                : DATASTREAM_UPDATING;
}

enum datastream_state datastream_stream_state(const struct datastream *ds,
                                              struct datastream_stream *stream)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_stream_settings(stream);
    return datastream_state_of(ds, settings);
}

enum datastream_state datastream_consumer_state(const struct datastream *ds,
                                                struct datastream_consumer *consumer)
{
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_consumer_settings(consumer);
    return datastream_state_of(ds, settings);
}

enum datastream_StreamStatus datastream_status_of(enum datastream_state state)
{
    switch (state) {
    case DATASTREAM_CREATING:
        return DATASTREAM_StreamStatus_CREATING;
    case DATASTREAM_UPDATING:
        return DATASTREAM_StreamStatus_UPDATING;
    case DATASTREAM_DELETING:
    case DATASTREAM_GONE:
        return DATASTREAM_StreamStatus_DELETING;
    case DATASTREAM_ACTIVE:
        break;
    }
    return DATASTREAM_StreamStatus_ACTIVE;
}

int datastream_not_active(struct kn_api_call *call, const struct datastream_stream *stream,
                          enum datastream_state state)
{
    static const char *const names[] = {
        [DATASTREAM_ACTIVE] = "ACTIVE",     [DATASTREAM_CREATING] = "CREATING",
        [DATASTREAM_UPDATING] = "UPDATING", [DATASTREAM_DELETING] = "DELETING",
        [DATASTREAM_GONE] = "DELETING",
    };
    return kn_api_fault(call, "ResourceInUseException",
                        "Stream " KN_STR_FMT " under account %s not ACTIVE, instead in state %s",
                        KN_STR_ARG(stream->name), call->identity->account, names[state]);
}

void datastream_state_begin(const struct datastream *ds, enum datastream_state state,
                            struct datastream_settings *draft)
{
    draft->busy_until_ms =
        ds->conf->stream_state_ms ? kn_wall_ms(ds->clock) + (int64_t) ds->conf->stream_state_ms : 0;
    draft->creating = state == DATASTREAM_CREATING;
    draft->deleting = state == DATASTREAM_DELETING;
}

/* --- changes ---------------------------------------------------------------------------------- */
struct gate {
    struct datastream *ds;
    struct kn_api_call *call;
    const struct datastream_stream *stream;
    datastream_edit_fn *edit;
    void *ctx;
    bool beside;
};

static int pass(void *ctx, struct datastream_settings *draft)
{
    const struct gate *gate = ctx;
    enum datastream_state state = datastream_state_of(gate->ds, draft);
    if (gate->beside ? state >= DATASTREAM_DELETING : state != DATASTREAM_ACTIVE)
        return datastream_not_active(gate->call, gate->stream, state);
    int r = gate->edit(gate->ctx, draft);
    if (r == 0 && !gate->beside)
        datastream_state_begin(gate->ds, DATASTREAM_UPDATING, draft);
    return r;
}

static int run(struct gate *gate, struct datastream_stream *stream)
{
    return datastream_changed(gate->call,
                              datastream_stream_change(gate->ds->streams, stream, pass, gate));
}

int datastream_update(struct datastream *ds, struct kn_api_call *call,
                      struct datastream_stream *stream, datastream_edit_fn *edit, void *ctx)
{
    struct gate gate = {ds, call, stream, edit, ctx, false};
    return run(&gate, stream);
}

int datastream_update_beside(struct datastream *ds, struct kn_api_call *call,
                             struct datastream_stream *stream, datastream_edit_fn *edit, void *ctx)
{
    struct gate gate = {ds, call, stream, edit, ctx, true};
    return run(&gate, stream);
}

static int set_updating(void *ctx, struct datastream_settings *draft)
{
    const struct datastream *ds = ctx;
    if (!draft->deleting)
        datastream_state_begin(ds, DATASTREAM_UPDATING, draft);
    return 0;
}

int datastream_updating(struct datastream *ds, struct datastream_stream *stream)
{
    return ds->conf->stream_state_ms
               ? datastream_stream_change(ds->streams, stream, set_updating, ds)
               : 0;
}

/* --- the end ---------------------------------------------------------------------------------- */
int datastream_stream_bury(struct datastream *ds, struct datastream_stream *stream)
{
    return datastream_stream_state(ds, stream) == DATASTREAM_GONE
               ? datastream_stream_delete(ds, stream)
               : 0;
}

int datastream_bury_consumers(struct datastream *ds, const struct datastream_stream *stream)
{
    struct datastream_consumer *some[DATASTREAM_CONSUMERS_MAX];
    size_t count = datastream_consumer_list(ds->consumers, &stream->id, KN_STR(""), some,
                                            DATASTREAM_CONSUMERS_MAX);
    int r = 0;
    for (size_t i = 0; i < count; i++) {
        if (r == 0 && datastream_consumer_state(ds, some[i]) == DATASTREAM_GONE)
            r = datastream_consumer_remove(ds->consumers, some[i]);
        datastream_consumer_unref(some[i]);
    }
    return r;
}

static int bury(void *ctx, struct datastream_stream *stream)
{
    struct datastream *ds = ctx;
    int r = datastream_stream_bury(ds, stream);
    return r == 0 ? datastream_bury_consumers(ds, stream) : r;
}

int datastream_bury_all(struct datastream *ds)
{
    return datastream_stream_each(ds->streams, bury, ds);
}
