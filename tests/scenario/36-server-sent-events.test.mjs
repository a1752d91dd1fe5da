// Server-Sent Events: live unless told, the position first, resumed by what a browser sends by itself,
// and a reset by name where history is gone.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRising, assertRun } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { stream } from "./support/sse.mjs";
import { history, publish, publishMany, tidemark, until } from "./support/tidemark.mjs";

const TOLERANT = { timeout: 60000 };

test("a stream says its position first, then what comes, as the contract has it", TOLERANT, async (t) => {
    const server = await tidemark(t);
    await publishMany(server, "a", 3);
    const source = await stream(t, server, "a");
    assert.equal(source.status, 200);
    assert.match(source.headers["content-type"], /^text\/event-stream/);
    assert.match(source.headers["cache-control"], /no-(store|cache)/);
    const blocks = () => source.blocks.filter((block) => !block.retry); /* how soon to come back */
    await until("the position", () => blocks().length > 0);
    assert.deepEqual(Object.keys(blocks()[0]), ["id"]);
    assert.match(blocks()[0].id, /^[0-9a-f]{16}:\d+$/);
    const { epoch, seq } = await publish(server, { topic: "a", event: "wave", data: { text: "line\nbreak é ✓" } });
    await source.count(1);
    const [event] = await history(server, "a", seq - 1);
    assert.deepEqual(source.events, [event]);
    assert.deepEqual(Object.keys(blocks()[1]).sort(), ["data", "id"]);
    assert.equal(blocks()[1].id, `${epoch}:${seq}`);
});

test("g1_a_stream_of_several_topics_has_them_in_one_order", TOLERANT, async (t) => {
    const server = await tidemark(t);
    const source = await stream(t, server, ["a", "b", "tree/#"]);
    const topics = ["a", "b", "tree/x", "other", "tree/y/z", "tree"];
    await publish(server, Array.from({ length: 60 }, (_, n) => ({ topic: topics[n % 6], event: "wave", data: { n } })));
    await source.count(50);
    assertRising(source.events.map(({ seq }) => seq));
    assert.deepEqual(source.events.map(({ topic }) => topic), Array.from({ length: 60 }, (_, n) => topics[n % 6]).filter((topic) => topic !== "other"));
});

test("g5_since_and_last_event_id_bring_what_comes_after_and_the_header_wins", TOLERANT, async (t) => {
    const server = await tidemark(t);
    await publishMany(server, "a", 2500);
    const events = await history(server, "a");
    const { json: { epoch } } = await server.get("/api/v1/history?topic=a&limit=1");
    const behind = (n) => `${epoch}:${events[n].seq}`;
    for (const [options, first] of [[{ since: 0 }, 0], [{ since: events[999].seq }, 1000], [{ since: behind(1999) }, 2000],
                                    [{ lastEventId: behind(2399) }, 2400], [{ since: 0, lastEventId: behind(2489) }, 2490],
                                    [{ since: behind(0), lastEventId: behind(2498) }, 2499]]) {
        const source = await stream(t, server, "a", options);
        await source.count(2500 - first);
        assertRun(source.events.map(({ data }) => data.n), first, 2500 - first, JSON.stringify(options));
        source.end();
    }
});

/* Nothing else happens meanwhile that would wake the gateway: it goes on by itself. */
test("a_long_history_is_read_to_its_end_without_anything_else_going_on", TOLERANT, async (t) => {
    const server = await tidemark(t);
    const PARTS = 40, EACH = 100;
    const data = "x".repeat(2000);
    for (let part = 0; part < PARTS; part++)
        await publish(server, Array.from({ length: EACH }, () => ({ topic: "big", event: "n", data })));
    const source = await stream(t, server, "big", { since: 0 });
    const begin = Date.now();
    await source.count(PARTS * EACH);
    assert.ok(Date.now() - begin < 20000, `${Date.now() - begin} ms for 8 MB: it stood still in between`);
});

test("g5_a_stream_that_is_cut_reads_on_from_its_last_id_also_where_it_had_no_event_yet", TOLERANT, async (t) => {
    const server = await tidemark(t);
    const between = await proxy(t, server);
    const got = [];
    let lastEventId, n = 0;
    for (let cut = 0; cut < 10; cut++) {
        const source = await stream(t, between, "a", { lastEventId });
        if (cut > 0) {
            await publishMany(server, "a", 10, { first: n });
            n += 10;
            await source.count(5);
        }
        between.cut();
        await until("the stream's end", () => source.isClosed);
        got.push(...source.events);
        lastEventId = source.lastId;
        await publishMany(server, "a", 10, { first: n });
        n += 10;
    }
    const last = await stream(t, between, "a", { lastEventId });
    await last.count(n - got.length);
    got.push(...last.events);
    assertRun(got.map(({ data }) => data.n), 0, n);
});

test("g5_where_history_is_gone_there_is_a_reset_with_the_state_and_then_what_comes", TOLERANT, async (t) => {
    const server = await tidemark(t, { broker: ["--retain-events", "1000"] });
    const { epoch, seq } = await publish(server, { topic: "a", event: "set", key: "k", data: "stands" });
    await publishMany(server, "a", 200_000, { batch: 250 });
    const source = await stream(t, server, "a", { lastEventId: `${epoch}:${seq}` });
    await until("the reset", () => source.resets.length > 0);
    const [reset] = source.resets;
    assert.deepEqual([reset.topic, reset.epoch, reset.code, reset.state.k.data], ["a", epoch, "trimmed", "stands"]);
    const { seq: next } = await publish(server, { topic: "a", event: "wave", data: { n: "last" } });
    await until("the event behind it", () => source.events.some((event) => event.seq === next));
    const behind = source.events.map((event) => event.seq);
    assertRising(behind);
    assert.ok(behind[0] > reset.seq);
});

test("g8_a_position_of_another_log_is_reset_by_name", TOLERANT, async (t) => {
    const server = await tidemark(t);
    const { epoch } = await publish(server, { topic: "a", event: "set", key: "k", data: 1 });
    for (const [since, code] of [["0123456789abcdef:1", "epoch_changed"], [`${epoch}:999999`, "epoch_changed"]]) {
        const source = await stream(t, server, "a", { since });
        await until("the reset", () => source.resets.length > 0);
        assert.deepEqual([source.resets[0].code, source.resets[0].epoch, source.resets[0].state.k.data], [code, epoch, 1]);
    }
});

test("g9_a_volatile_event_comes_to_who_is_there_and_moves_no_position", TOLERANT, async (t) => {
    const server = await tidemark(t);
    const source = await stream(t, server, "a");
    const { lastId } = source;
    await until("a volatile event", async () => {
        await publish(server, { topic: "a", event: "wave", data: "now", volatile: true });
        return source.events.length > 0;
    });
    assert.equal(source.lastId, lastId);
    const late = await stream(t, server, "a", { since: 0 });
    await publish(server, { topic: "a", event: "wave", data: "logged" });
    await late.count(1);
    assert.equal(late.events[0].data, "logged");
});

test("questions that are none are refused by their code, before any stream begins", TOLERANT, async (t) => {
    const server = await tidemark(t);
    const wrong = [];
    for (const [query, code] of [["", ["bad_request", "bad_topic"]], ["?topic=", "bad_topic"], ["?topic=a%23", "bad_topic"], ["?topic=a%01", "bad_topic"],
                                 [`?topic=${"x".repeat(256)}`, "bad_topic"], ["?topic=a&topic=", "bad_topic"], ["?topic=a&since=yesterday", "bad_request"],
                                 ["?topic=a&since=-1", "bad_request"], ["?topic=a&since=zz:1", "bad_request"], ["?topic=a&since=1.5", "bad_request"],
                                 ["?topic=$session/x", "forbidden"], ["?topic=@somebody", "forbidden"]]) {
        const { status, json, text } = await server.get(`/events${query}`);
        if (![400, 403].includes(status) || ![code].flat().includes(json?.error?.code))
            wrong.push(`${query}: ${status} ${text.slice(0, 100)}`);
    }
    assert.deepEqual(wrong, []);
});

test("two hundred streams that are opened and dropped leave the others alone", TOLERANT, async (t) => {
    const server = await tidemark(t);
    const stays = await stream(t, server, "a");
    for (let round = 0; round < 10; round++) {
        const all = await Promise.all(Array.from({ length: 20 }, () => stream(t, server, ["a", `t${round}`])));
        await publishMany(server, "a", 5, { first: round * 5 });
        for (const source of all)
            source.end();
    }
    await stays.count(50);
    assertRun(stays.events.map(({ data }) => data.n), 0, 50);
});
