/*  fuzz_engineio.c - what happens to one session of Engine.IO: requests, payloads, probes, frames,
 *  time.
 *
 *  Input: operations, each u8 and what it takes: bytes are u8 size (times 1, or times 256 where its
 *  highest bit is set) and the bytes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_engineio.h"
#include "tide_wsframe.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

enum { OPEN, CHECK, POST_BODY, POLL, POST, ABANDON, ANSWER, PROBE, PROBE_FRAME, UNPROBE, FRAME };
enum { TICK = FRAME + 1, SAY, OPERATIONS };

static const tide_engineio_config_t config = {300, 200, 10000};

/*  The session, and what must be true of it. */
typedef struct {
    tide_engineio_t session;
    bool is_open, is_over;
    uint64_t now_ms, serial;
    uint64_t poll, post; /* that are held */
    bool is_websocket;
} bench_t;

static tide_bytes_t take_bytes (tide_reader_t *input)
{
    size_t size = tide_take_u8 (input);
    size = size & 0x80 ? (size & 0x7f) << 8 : size;
    return tide_take_bytes (input, size < input->remaining ? size : input->remaining);
}

static void check_state (const bench_t *bench)
{
    const tide_engineio_t *session = &bench->session;
    tide_assert (session->poll == bench->poll && session->post == bench->post);
    tide_assert ((session->transport == TIDE_ENGINEIO_WEBSOCKET) == bench->is_websocket);
    tide_assert (session->probing == TIDE_ENGINEIO_UNPROBED || !bench->is_websocket);
    tide_assert (tide_engineio_wants_noop (session)
                 == (bench->is_websocket || session->probing == TIDE_ENGINEIO_PROBED));
    /*  Either a ping is due or a pong is. */
    tide_assert ((session->ping_at_ms == 0) != (session->pong_by_ms == 0));
    tide_assert (tide_engineio_deadline_ms (session) == session->ping_at_ms + session->pong_by_ms);
}

static void open_session (bench_t *bench, uint8_t transport)
{
    tide_buffer_t packet = {0};
    bench->is_websocket = transport & 1;
    tide_engineio_open (&bench->session, &config,
                        bench->is_websocket ? TIDE_ENGINEIO_WEBSOCKET : TIDE_ENGINEIO_POLLING,
                        bench->now_ms, tide_bytes ("sid"), &packet);
    tide_assert (packet.size > 2 && packet.data[0] == '0');
    bench->is_open = true;
    tide_buffer_free (&packet);
}

/*  -- who may ask ----------------------------------------------------------------------------- */

static void check_request (const bench_t *bench, tide_reader_t *input)
{
    static const char *const words[][4] = {{"GET", "POST", "PUT", ""},
                                           {"polling", "websocket", "x", ""},
                                           {"4", "3", "", "44"},
                                           {"sid", "", "", ""}};
    uint8_t which = tide_take_u8 (input);
    tide_engineio_request_t request = {.method = tide_bytes (words[0][which & 3]),
                                       .transport = tide_bytes (words[1][which >> 2 & 3]),
                                       .eio = tide_bytes (words[2][which >> 4 & 3]),
                                       .sid = tide_bytes (words[3][which >> 6 & 1]),
                                       .is_websocket = which >> 7};
    int code = tide_engineio_check (&request, bench->is_open ? &bench->session : NULL);
    tide_assert (code >= -1 && code <= TIDE_ENGINEIO_UNSUPPORTED_VERSION);
    bool is_polling = tide_bytes_is (request.transport, "polling");
    /*  Whoever is let in polls what polls, or is a WebSocket. */
    if (code == -1 && request.sid.size > 0)
        tide_assert (bench->is_open
                     && (request.is_websocket ? !is_polling : is_polling && !bench->is_websocket));
    else if (code == -1)
        tide_assert (request.is_websocket != is_polling && tide_bytes_is (request.eio, "4"));
    tide_buffer_t body = {0};
    tide_engineio_refusal (&body, code, code % 2 == 0);
    tide_assert (body.size > 0);
    tide_buffer_free (&body);
}

/*  -- packets --------------------------------------------------------------------------------- */

static void receive (bench_t *bench, tide_bytes_t packet, bool is_text)
{
    tide_buffer_t binary = {0}, again = {0}, back = {0};
    if (is_text && tide_engineio_base64 (packet, &binary)) {
        tide_engineio_payload_append (&again, tide_buffer_bytes (&binary), false);
        tide_assert (tide_engineio_base64 (tide_buffer_bytes (&again), &back));
        tide_assert (tide_bytes_equal (tide_buffer_bytes (&back), tide_buffer_bytes (&binary)));
        tide_assert (again.size == packet.size);
        packet = tide_buffer_bytes (&binary);
        is_text = false;
    }
    tide_bytes_t body;
    tide_engineio_result_t result =
        tide_engineio_receive (&bench->session, &config, bench->now_ms, packet, is_text, &body);
    size_t head = is_text ? 1 : 0;
    if (result == TIDE_ENGINEIO_MESSAGE)
        tide_assert (body.size == packet.size - head
                     && (body.size == 0 || body.data == packet.data + head));
    tide_assert (is_text || result == TIDE_ENGINEIO_MESSAGE);
    bench->is_over = result == TIDE_ENGINEIO_CLOSE || result == TIDE_ENGINEIO_ERROR;
    tide_buffer_free (&binary);
    tide_buffer_free (&again);
    tide_buffer_free (&back);
}

/*  Its packets, with separators between, are the body again. */
static void receive_payload (bench_t *bench, tide_bytes_t body)
{
    tide_buffer_t again = {0};
    tide_bytes_t rest = body, packet;
    bool has_more = true, is_first = true;
    while (tide_engineio_payload_next (&rest, &has_more, &packet)) {
        if (!is_first)
            tide_put_u8 (&again, 0x1e);
        tide_buffer_append_bytes (&again, packet);
        is_first = false;
        if (!bench->is_over)
            receive (bench, packet, true);
    }
    tide_assert (tide_bytes_equal (tide_buffer_bytes (&again), body));
    tide_buffer_free (&again);
}

/*  What is said goes out by a payload as it would have by frames. */
static void say (tide_reader_t *input)
{
    tide_buffer_t frames = {0}, expected = {0}, payload = {0};
    for (unsigned count = tide_take_u8 (input) % 4; count > 0; count--) {
        bool is_text = tide_take_u8 (input) & 1;
        tide_bytes_t message = take_bytes (input);
        if (message.size == 0 && is_text)
            continue; /* no packet is empty */
        tide_wsframe_append (&frames, is_text ? TIDE_WSFRAME_TEXT : TIDE_WSFRAME_BINARY, message);
        tide_engineio_payload_append (&expected, message, is_text);
    }
    tide_engineio_payload_frames (&payload, tide_buffer_bytes (&frames));
    tide_assert (tide_bytes_equal (tide_buffer_bytes (&payload), tide_buffer_bytes (&expected)));
    tide_buffer_free (&frames);
    tide_buffer_free (&expected);
    tide_buffer_free (&payload);
}

/*  -- requests -------------------------------------------------------------------------------- */

/*  A second one is refused, and ends the session. */
static void begin (bench_t *bench, uint64_t *held,
                   bool (*take) (tide_engineio_t *self, uint64_t request))
{
    bool is_free = *held == 0;
    uint64_t request = ++bench->serial;
    tide_assert (take (&bench->session, request) == is_free);
    if (is_free)
        *held = request;
    else
        bench->is_over = true;
}

static void abandon (bench_t *bench, uint8_t which)
{
    uint64_t request = which % 3 == 0 ? bench->poll : which % 3 == 1 ? bench->post : 1000000;
    if (request == 0)
        return;
    bool is_held = request == bench->poll || request == bench->post;
    bool ends = tide_engineio_abandon (&bench->session, request);
    tide_assert (ends == (is_held && !bench->is_websocket));
    if (request == bench->poll)
        bench->poll = 0;
    else if (request == bench->post)
        bench->post = 0;
    bench->is_over = ends;
}

static void answer (bench_t *bench, uint8_t which)
{
    if (which & 1) {
        tide_assert (tide_engineio_take_poll (&bench->session) == bench->poll);
        bench->poll = 0;
    }
    if (which & 2) {
        tide_assert (tide_engineio_take_post (&bench->session) == bench->post);
        bench->post = 0;
    }
}

/*  -- the upgrade, time ----------------------------------------------------------------------- */

static void probe (bench_t *bench)
{
    bool may = !bench->is_websocket && bench->session.probing == TIDE_ENGINEIO_UNPROBED;
    tide_assert (tide_engineio_probe (&bench->session) == may);
    tide_assert (!may || bench->session.probing == TIDE_ENGINEIO_OPENED);
}

static void probe_frame (bench_t *bench, tide_reader_t *input)
{
    bool is_text = tide_take_u8 (input) & 1;
    tide_bytes_t frame = take_bytes (input);
    if (bench->session.probing == TIDE_ENGINEIO_UNPROBED)
        return; /* there is no such WebSocket */
    switch (tide_engineio_probe_frame (&bench->session, frame, is_text)) {
    case TIDE_ENGINEIO_PROBE_ANSWER:
        tide_assert (is_text && tide_bytes_is (frame, "2probe"));
        tide_assert (bench->session.probing == TIDE_ENGINEIO_PROBED);
        break;
    case TIDE_ENGINEIO_PROBE_TAKES:
        tide_assert (is_text && frame.data[0] == '5');
        bench->is_websocket = true;
        break;
    case TIDE_ENGINEIO_PROBE_FAILS:
        tide_assert (bench->session.probing == TIDE_ENGINEIO_UNPROBED);
        break;
    }
}

static void tick (bench_t *bench, uint16_t passed_ms)
{
    uint64_t due_ms = tide_engineio_deadline_ms (&bench->session);
    bool waits_for_pong = bench->session.pong_by_ms > 0;
    bench->now_ms += passed_ms;
    tide_engineio_due_t due = tide_engineio_tick (&bench->session, &config, bench->now_ms);
    tide_assert ((due == TIDE_ENGINEIO_QUIET) == (bench->now_ms < due_ms));
    tide_assert (due == TIDE_ENGINEIO_QUIET || (due == TIDE_ENGINEIO_TIMEOUT) == waits_for_pong);
    if (due == TIDE_ENGINEIO_PING) /* the client has its time, but for our own jitter */
        tide_assert (tide_engineio_deadline_ms (&bench->session)
                     >= bench->now_ms + config.ping_timeout_ms - 50);
    bench->is_over = due == TIDE_ENGINEIO_TIMEOUT;
}

static void operate (bench_t *bench, unsigned operation, tide_reader_t *input)
{
    switch (operation) {
    case POST_BODY:
        receive_payload (bench, take_bytes (input));
        break;
    case POLL:
        begin (bench, &bench->poll, tide_engineio_poll);
        break;
    case POST:
        begin (bench, &bench->post, tide_engineio_post);
        break;
    case ABANDON:
        abandon (bench, tide_take_u8 (input));
        break;
    case ANSWER:
        answer (bench, tide_take_u8 (input));
        break;
    case PROBE:
        probe (bench);
        break;
    case PROBE_FRAME:
        probe_frame (bench, input);
        break;
    case UNPROBE:
        tide_engineio_unprobe (&bench->session);
        tide_assert (bench->session.probing == TIDE_ENGINEIO_UNPROBED);
        break;
    case FRAME: {
        bool is_text = tide_take_u8 (input) & 1;
        receive (bench, take_bytes (input), is_text);
        break;
    }
    case TICK:
        tick (bench, tide_take_u16 (input));
        break;
    default:
        say (input);
    }
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    bench_t bench = {.now_ms = 1000};
    tide_reader_t input = tide_reader ((tide_bytes_t){data, size});
    tide_assert (tide_engineio_deadline_ms (&bench.session) == UINT64_MAX);
    while (input.remaining > 0 && !input.failed && !bench.is_over) {
        unsigned operation = tide_take_u8 (&input) % OPERATIONS;
        if (operation == CHECK)
            check_request (&bench, &input);
        else if (operation == OPEN && !bench.is_open)
            open_session (&bench, tide_take_u8 (&input));
        else if (bench.is_open)
            operate (&bench, operation, &input);
        if (bench.is_open)
            check_state (&bench);
    }
    return 0;
}
